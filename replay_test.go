package telltale

import "testing"

func TestWhichEventsAreSent(t *testing.T) {
	none := State("")
	for _, row := range []struct {
		which Which
		sends []State // whose last delivery is so
	}{
		{WhichFailed, []State{StateFailed}},
		{WhichHeld, []State{StateHeld, StateCancelled}},
		{WhichUnsent, []State{none}},
		{WhichUndelivered, []State{none, StateFailed, StateHeld, StateCancelled}},
		{WhichAll, append(States(), none)},
		{"nonsense", nil},
	} {
		want := map[State]bool{}
		for _, state := range row.sends {
			want[state] = true
		}
		for _, state := range append(States(), none) {
			if row.which.Picks(state) != want[state] {
				t.Errorf("%s picks what is %q: %v", row.which, state, !want[state])
			}
		}
		if row.which.Valid() != (len(row.sends) > 0) {
			t.Errorf("%s is valid: %v", row.which, row.which.Valid())
		}
	}
}

func TestAReplayIsAheadByTenSecondsOrTenDeliveries(t *testing.T) {
	for rate, want := range map[float64]int{0.1: 10, 1: 10, 5: 50, 100: 1000, MaxRateLimit: 1000} {
		if got := (&Replay{Rate: rate}).MaxAhead(); got != want {
			t.Errorf("at %v a second it may be ahead by %d, not %d", rate, got, want)
		}
	}
}
