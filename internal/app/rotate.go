package app

import (
	"context"
	"errors"

	"telltale.example/telltale/internal/config"
)

// Rotated is what became of a change of the secret key. Keys are named, not told.
type Rotated struct {
	Key      string   `json:"key"`           // seals everything now
	Sealed   int      `json:"sealed"`        // secrets that were sealed anew
	Left     int      `json:"left"`          // secrets that another key sealed still; 0 in the end
	Needless []string `json:"needless_keys"` // keys of the ring that nothing in the store needs
	Retired  []string `json:"retired_keys"`  // keys that no server may seal with again
	Location string   `json:"-"`             // of the store, for people
}

// RotateKeys seals anew whatever the first key of the ring did not seal, some
// secrets in a transaction, and tells rotating how far it is. On SQLite no server
// may have the store open; PostgreSQL's nodes go on, and all of them have to seal
// with the key: Conflict, if one does not. What was done before it was stopped, or
// killed, is done: another call goes on behind it.
func RotateKeys(ctx context.Context, cfg config.Config, version string, rotating func(Rotated)) (done Rotated, err error) {
	store, ring, err := openWithRing(ctx, cfg, version)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	keys := ring.Keys()
	done = Rotated{Key: keys[0], Needless: []string{}, Retired: []string{}, Location: Location(cfg)}
	for {
		step, err := store.Reseal(ctx)
		if err != nil {
			return done, err
		}
		done.Sealed += step.Sealed
		done.Left = step.Left
		done.Retired = append(done.Retired[:0], step.Retired...)
		rotating(done)
		if step.Left == 0 {
			done.Needless = append(done.Needless, keys[1:]...)
			return done, nil
		}
	}
}
