package pgtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// Clock is the time that a database tells by its function telltale_now: it stands
// still unless a test moves it. It is kept in a file, so that to move it takes no
// transaction.
type Clock struct {
	path string

	mu sync.Mutex
	at time.Time
}

// StopClock has the database tell the time of the clock from now on.
func (s *Server) StopClock(database string, at time.Time) (*Clock, error) {
	name := "clock_" + database
	c := &Clock{path: filepath.Join(s.data(), name)}
	if err := c.Set(at); err != nil {
		return nil, err
	}
	_, err := s.Exec(database, fmt.Sprintf(`CREATE OR REPLACE FUNCTION telltale_now() RETURNS bigint LANGUAGE sql VOLATILE AS $$ SELECT pg_read_file('%s')::bigint $$`, name))
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Set sets the clock.
func (c *Clock) Set(at time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.set(at)
}

func (c *Clock) set(at time.Time) error {
	next := c.path + ".next"
	if err := os.WriteFile(next, strconv.AppendInt(nil, at.UnixMilli(), 10), 0o644); err != nil { //nolint:gosec // the server reads it, as another user
		return err
	}
	c.at = at
	return os.Rename(next, c.path) // whoever reads it finds the one or the other
}

// Advance lets the time go by.
func (c *Clock) Advance(d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.set(c.at.Add(d))
}

// Now is what the clock says.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}
