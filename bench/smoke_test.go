//go:build smoke

package main

import (
	"testing"
	"time"
)

// Every load once, for a moment, against the real server. It needs the module
// above to build, so it runs when asked for: go test -tags smoke -run Smoke .
func TestSmoke(t *testing.T) {
	marks, loads, err := choose([]string{"all"})
	if err != nil {
		t.Fatal(err)
	}
	o := options{Dir: t.TempDir(), Rounds: 1, Length: time.Second, Warm: 200 * time.Millisecond, Yardstick: 500 * time.Millisecond, stall: stallGrace}
	p, err := o.measure(t.Context(), marks, loads)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Runs) != len(loads) || len(p.Results) != len(marks) {
		t.Errorf("%d runs and %d marks; want %d and %d", len(p.Runs), len(p.Results), len(loads), len(marks))
	}
	for _, r := range p.Runs {
		if r.Accepted == 0 || r.Delivered < r.Accepted || r.LogChecked == 0 || r.Verified == 0 || r.Memory.Peak == 0 {
			t.Errorf("%+v: something was not measured", r)
		}
	}
}
