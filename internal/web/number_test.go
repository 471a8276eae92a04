package web

import (
	"slices"
	"testing"
	"time"
)

func TestNumbersForPeople(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, got, want string }{
		{"a small number", count(999), "999"},
		{"thousands are set apart", count(4212), "4\u202f212"},
		{"and millions", count(10000000), "10\u202f000\u202f000"},
		{"below zero", count(-1234), "-1\u202f234"},
		{"one of a noun", counted(1, "delivery", "deliveries"), "1 delivery"},
		{"none of a noun", counted(0, "delivery", "deliveries"), "0 deliveries"},
		{"what was counted so far tells its first digit", countedSoFar(4999, true, "delivery", "deliveries"), "4\u202f000+ deliveries"},
		{"and is no more than it was", countedSoFar(10000, true, "delivery", "deliveries"), "10\u202f000+ deliveries"},
		{"nothing so far", countedSoFar(0, true, "delivery", "deliveries"), "0+ deliveries"},
		{"what was counted to the end is exact", countedSoFar(4999, false, "delivery", "deliveries"), "4\u202f999 deliveries"},
		{"almost all is not all", percent(4214, 4215), "99.9\u202f%"},
		{"all", percent(7, 7), "100\u202f%"},
		{"a half", percent(1, 2), "50\u202f%"},
		{"nothing of nothing", percent(0, 0), ""},
		{"an estimate has few digits", took(1537 * time.Millisecond), "1.5 s"},
		{"none behind the point of many seconds", took(75400 * time.Millisecond), "75 s"},
		{"milliseconds", took(112400 * time.Microsecond), "112 ms"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.got != tt.want {
				t.Errorf("%q; want %q", tt.got, tt.want)
			}
		})
	}
}

func TestAddressesBreakBetweenTheirParts(t *testing.T) {
	t.Parallel()
	for address, want := range map[string][]string{
		"https://hooks.example.com/in/42?a=b&c=d": {"https://", "hooks.example.com/", "in/", "42", "?a", "=b", "&c", "=d"},
		"https://hooks.example.com":               {"https://", "hooks.example.com"},
		"":                                        {""},
	} {
		if got := pieces(address); !slices.Equal(got, want) {
			t.Errorf("%s is cut into %q; want %q", address, got, want)
		}
	}
}
