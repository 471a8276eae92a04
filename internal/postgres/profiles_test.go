package postgres

import "testing"

func TestBehindAllThatBeginSo(t *testing.T) {
	for beginning, want := range map[string]string{
		"": "", "a": "b", "ann": "ano", "été": "étê", "a\u007f": "a\u0080", "\ud7ff": "\ue000", "a\U0010ffff": "b", "\U0010ffff\U0010ffff": "",
	} {
		if got := behindAll(beginning); got != want {
			t.Errorf("behind all that begin with %q comes %q, not %q", beginning, got, want)
		}
		if got := behindAll(beginning); got != "" && got <= beginning+"\U0010ffff\U0010ffff" {
			t.Errorf("%q is not behind all that begin with %q", got, beginning)
		}
	}
}
