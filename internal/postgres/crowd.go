package postgres

import (
	"context"
	"hash/maphash"
	"slices"
	"time"
)

// crowds are callers of this node who change the same users. They wait for each
// other here, since whoever waits in the server does so with a connection, and a
// user whom many change at once would take them all from everybody else.
//
// Users share places. It makes no difference to what comes of their changes, so a
// call that changes many users goes past them all: it would wait for a place of
// each, and each would wait for it.
type crowds struct {
	seed   maphash.Seed
	places [crowdPlaces]chan struct{}
}

const (
	crowdPlaces = 256
	crowdUsers  = 4 // more of them go past
)

func newCrowds() *crowds {
	c := &crowds{seed: maphash.MakeSeed()}
	for i := range c.places {
		c.places[i] = make(chan struct{}, 1)
	}
	return c
}

// enter waits until nobody else here changes these users, as far as is known by
// what they are looked for. Whoever enters leaves.
func (c *crowds) enter(ctx context.Context, of *wanted) (leave func(), err error) {
	leave = func() {}
	if len(of.ids) > crowdUsers {
		return leave, nil
	}
	places := make([]int, len(of.ids))
	for i, id := range of.ids {
		places[i] = int((maphash.String(c.seed, id.text) + uint64(id.project)) % crowdPlaces)
	}
	slices.Sort(places)
	places = slices.Compact(places)
	taken := 0
	leave = func() {
		for _, place := range places[:taken] {
			<-c.places[place]
		}
	}
	patience := time.NewTimer(lockLimit)
	defer patience.Stop()
	for ; taken < len(places); taken++ {
		select {
		case c.places[places[taken]] <- struct{}{}:
		case <-ctx.Done():
			leave()
			return nil, ctx.Err()
		case <-patience.C:
			leave()
			return nil, errOverloaded
		}
	}
	return leave, nil
}
