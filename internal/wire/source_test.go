package wire

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"telltale.example/telltale"
)

func TestASourcesPatchIsMerged(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, patch string
		want        func(*telltale.Source) // what becomes of the source
	}{
		{"nothing changes nothing", `{}`, func(*telltale.Source) {}},
		{"null goes back to the default, everywhere", `{"name":null,"credentials":null,"options":null,"enabled":null}`, func(s *telltale.Source) {
			s.Name, s.Credentials, s.Options, s.Enabled = "Mailgun", map[string]string{}, nil, true
		}},
		{"values", `{"name":"n","options":["b","a"],"enabled":true}`, func(s *telltale.Source) { s.Name, s.Options, s.Enabled = "n", []string{"b", "a"}, true }},
		{"no options", `{"options":[]}`, func(s *telltale.Source) { s.Options = []string{} }},
		{"a credential is set, others stay", `{"credentials":{"new":"n"}}`, func(s *telltale.Source) { s.Credentials["new"] = "n" }},
		{"a credential is changed", `{"credentials":{"key":"n"}}`, func(s *telltale.Source) { s.Credentials["key"] = "n" }},
		{"space around a credential came along when it was copied", `{"credentials":{"key":" two\nlines \n"}}`, func(s *telltale.Source) { s.Credentials["key"] = "two\nlines" }},
		{"a credential is removed", `{"credentials":{"key":null}}`, func(s *telltale.Source) { delete(s.Credentials, "key") }},
		{"an empty credential is none", `{"credentials":{"key":" "}}`, func(s *telltale.Source) { delete(s.Credentials, "key") }},
		{"a credential that is not there is removed", `{"credentials":{"lost":null}}`, func(*telltale.Source) {}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			full := func() *telltale.Source {
				return &telltale.Source{Provider: "mailgun", Name: "old", Credentials: map[string]string{"key": "s3cr3t", "other": "o"}, Options: []string{"emit_sent"}}
			}
			var patch SourcePatch
			if err := json.Unmarshal([]byte(row.patch), &patch); err != nil {
				t.Fatal(err)
			}
			before, want := full(), full()
			row.want(want)
			got := *before
			patch.Apply(&got, "Mailgun")
			if diff := cmp.Diff(want, &got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(full(), before); diff != "" {
				t.Errorf("the snapshot was changed (-want +got):\n%s", diff)
			}
			text, err := json.Marshal(patch)
			if err != nil || string(text) != row.patch {
				t.Errorf("written again it is %s, %v", text, err)
			}
		})
	}
}
