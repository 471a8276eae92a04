package postgres

import (
	"slices"
	"testing"

	"telltale.example/telltale"
)

// What comes to wait before a node's head is claimed before the rest after a look,
// and after the rest without one: it is never passed over for good.
func TestWhatWaitsBeforeTheHeadIsClaimed(t *testing.T) {
	for name, looks := range map[string]bool{"after a look, first": true, "without a look, last": false} {
		t.Run(name, func(t *testing.T) {
			s := newBenchStore(t, 1)
			s.accept(s.hooks[0], 10, nil)
			claim := func(n int) (ids []telltale.DeliveryID, lane telltale.LaneClaims) {
				lanes, err := s.ClaimDue(t.Context(), []telltale.LaneRoom{{WebhookID: s.hooks[0].ID, Slots: n}})
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range lanes[0].Claims {
					ids = append(ids, c.DeliveryID)
				}
				return ids, lanes[0]
			}
			first, lane := claim(4)
			if err := s.ReleaseClaims(t.Context(), claimRefs(lane.Claims[1:3])); err != nil {
				t.Fatal(err)
			}
			released := first[1:3]
			if looks {
				if due, err := s.DueWebhooks(t.Context()); err != nil || due[0].In != 0 {
					t.Fatal(due, err)
				}
			}
			var rest []telltale.DeliveryID
			for {
				ids, lane := claim(6)
				rest = append(rest, ids...)
				if lane.In == telltale.Never {
					break
				}
				if len(ids) == 0 {
					t.Fatal("the lane is said to have something due, and gives nothing")
				}
			}
			if len(rest) != 8 {
				t.Fatalf("%d of 8 were claimed", len(rest))
			}
			at := 6
			if looks {
				at = 0
			}
			if !slices.Equal(rest[at:at+2], released) {
				t.Errorf("claimed %v; want %v at %d", rest, released, at)
			}
		})
	}
}
