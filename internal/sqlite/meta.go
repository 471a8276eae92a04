package sqlite

import (
	"fmt"
	"time"

	"telltale.example/telltale/internal/stored"
)

// meta is what the writer remembers of the store as a whole.
type meta struct {
	lag       lag
	outageEnd int64 // ms
	sealed    bool  // something tells whether the secret key is the right one
}

// sealMeta seals something with the key that all else is sealed with.
func (tx *tx) sealMeta() error {
	sealed, err := stored.Canary(tx.store.options.Sealer)
	if err != nil {
		return err
	}
	tx.meta.sealed = true
	if err := tx.change(`INSERT INTO meta (name, value) VALUES ('sealed', ?)`).blob(sealed).run(); err != nil {
		return fmt.Errorf("sealing: %w", err)
	}
	return nil
}

func (s *Store) loadMeta(c *conn) (m meta, err error) {
	err = c.query(`SELECT name, value FROM meta`).each(func(q *query) error {
		switch name := q.getText(); name {
		case "salt":
			if n := copy(s.ids.Salt[:], q.getBlob()); n != len(s.ids.Salt) {
				return fmt.Errorf("the salt has %d bytes", n)
			}
		case "lag_least":
			m.lag.least = q.getInt()
		case "lag_most":
			m.lag.most = q.getInt()
		case "counted":
			s.writer.stats.counted = q.getInt()
		case "named":
			s.writer.names.upTo = q.getInt()
		case "outage_end":
			m.outageEnd = q.getInt()
		case "sealed":
			m.sealed = true
		}
		return nil
	})
	return m, err
}

// lag is the least and the most, in milliseconds, that ever lay between an
// event's receipt, which its maker says, and its number. With it, a time of
// receipt bounds the numbers that a search has to look at.
type lag struct{ least, most int64 }

func loadLag(c *conn) (l lag, err error) {
	_, err = c.query(`SELECT (SELECT value FROM meta WHERE name = 'lag_least'), (SELECT value FROM meta WHERE name = 'lag_most')`).one(func(q *query) {
		l = lag{q.getInt(), q.getInt()}
	})
	return l, err
}

// noteLag widens the bounds. They grow in steps, so that they are written seldom.
func (tx *tx) noteLag(ms int64) error {
	l := &tx.meta.lag
	if ms >= l.least && ms <= l.most {
		return nil
	}
	if ms > l.most {
		l.most = 2*ms + 1000
	} else {
		l.least = 2*ms - 1000
	}
	err := tx.change(`UPDATE meta SET value = iif(name = 'lag_least', ?, ?) WHERE name IN ('lag_least', 'lag_most')`).int(l.least).int(l.most).run()
	if err != nil {
		return fmt.Errorf("noting a lag of %d ms: %w", ms, err)
	}
	return nil
}

// receivedWithin gives the numbers that events received in [since, until) may have.
func (l lag) receivedWithin(since, until time.Time) numbers {
	n := allNumbers()
	if !since.IsZero() {
		n.above = (since.UnixMilli()+l.least)<<stored.NumberBits - 1
	}
	if !until.IsZero() {
		n.below = (stored.CeilMilli(until) + l.most + 1) << stored.NumberBits
	}
	return n
}
