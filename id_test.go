package telltale

import (
	"strings"
	"testing"
)

// What is taken for an id is one that was made here: a prefix and 26 letters that
// mean a time and nothing else, so that it is safe wherever an id stands.
func FuzzValidID(f *testing.F) {
	f.Add(string(NewEventID()))
	f.Add("evt_01JD0000000000000000000000")
	f.Add("evt_8ZZZZZZZZZZZZZZZZZZZZZZZZZ")
	f.Add("evt_01jd0000000000000000000000")
	f.Fuzz(func(t *testing.T, id string) {
		if !ValidID(eventPrefix, id) {
			return
		}
		if len(id) != 4+ulidLength || strings.Trim(strings.ToUpper(id[4:]), "0123456789ABCDEFGHJKMNPQRSTVWXYZ") != "" || id[4] > '7' {
			t.Errorf("%q is taken for an id", id)
		}
	})
}
