package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"telltale.example/telltale"
)

// A node's lease is its row: as long as it is renewed, what the node claimed is
// its own. Whoever finds that it has ended marks the row, and takes over; a node
// that wakes up later finds the mark and joins anew, under another number.

// join notes a start of the node.
func (s *Store) join(ctx context.Context) error {
	var number int32
	err := s.writers.QueryRow(ctx, `INSERT INTO node (id, role, version, host, started_at, lease_until, config, keys)
		SELECT $1, $2, $3, $4, t.now, t.now + $5, $6, $7 FROM (SELECT telltale_now() AS now) t RETURNING number`,
		string(s.options.Node), *s.role.Load(), s.options.Version, hostName(), telltale.Lease.Milliseconds(), s.known.Load().version, strings.Join(s.options.Sealer.Keys(), ",")).Scan(&number)
	if err != nil {
		return fmt.Errorf("noting the node: %w", err)
	}
	s.node.Store(number)
	s.note(ctx, noteNodes)
	return nil
}

// nodeNumber gives the number that stands in rows for a node's id.
func (tx *tx) nodeNumber(id telltale.NodeID) (number int64, err error) {
	if id == tx.store.options.Node {
		return int64(tx.store.node.Load()), nil
	}
	found, err := tx.one([]any{&number}, `SELECT number FROM node WHERE id = $1 ORDER BY number DESC LIMIT 1`, string(id))
	if err != nil || found {
		return number, err
	}
	_, err = tx.one([]any{&number}, `INSERT INTO node (id, role, version, host, started_at, lease_until, gone_at, config) VALUES ($1, '', '', '', $2, 0, $2, 0) RETURNING number`, string(id), tx.milli)
	return number, err
}

// ChangeRole says what the node does from now on.
func (s *Store) ChangeRole(ctx context.Context, role telltale.NodeRole) error {
	_, err := s.writers.Exec(ctx, `UPDATE node SET role = $1 WHERE number = $2`, string(role), s.node.Load())
	if err != nil {
		return s.explain("changing the node's role", err)
	}
	s.role.Store(new(string(role)))
	s.note(ctx, noteNodes)
	return nil
}

// leave ends the node's lease.
func (s *Store) leave(ctx context.Context) error {
	_, err := s.writers.Exec(ctx, `UPDATE node SET gone_at = telltale_now() WHERE number = $1 AND gone_at IS NULL`, s.node.Load())
	if err == nil {
		s.note(ctx, noteNodes)
	}
	return err
}

// Beat renews the lease of all that the node claimed, with one row, and tells
// which place the node has among those that are alive.
func (s *Store) Beat(ctx context.Context) (beat telltale.Beat, err error) {
	err = s.write(ctx, "noting a beat", func(tx *tx) error {
		beat = telltale.Beat{}
		var last int64
		if err := tx.conn.QueryRow(tx.ctx, `SELECT coalesce(max(beat_at), 0) FROM node`).Scan(&last); err != nil {
			return err
		}
		if gap := time.Duration(tx.milli-last) * time.Millisecond; last != 0 && gap > telltale.OutageGap {
			beat.Outage = gap
			if _, err := tx.exec(`UPDATE meta SET outage_end = $1`, tx.milli); err != nil {
				return err
			}
		}
		renewed, err := tx.exec(`UPDATE node SET beat_at = $1::bigint, lease_until = $1::bigint + $2::bigint WHERE number = $3 AND gone_at IS NULL`, tx.milli, telltale.Lease.Milliseconds(), s.node.Load())
		if err != nil {
			return err
		}
		if renewed == 0 {
			return errGone
		}
		var number int32
		return tx.each([]any{&number}, func() error {
			if number == s.node.Load() {
				beat.Place = beat.Workers
			}
			beat.Workers++
			return nil
		}, `SELECT number FROM node WHERE gone_at IS NULL AND lease_until >= $1 AND role IN ('all', 'worker') ORDER BY number`, tx.milli)
	})
	if errors.Is(err, errGone) {
		s.log.Warn("The node's lease had ended, and others took over. It joins anew.")
		if err := s.join(ctx); err != nil {
			return telltale.Beat{}, s.explain("joining anew", err)
		}
		return s.Beat(ctx)
	}
	if err != nil {
		return telltale.Beat{}, err
	}
	return beat, nil
}

// errGone says that others were told that this node is gone.
var errGone = telltale.Errorf(telltale.Conflict, "The node is gone.")

// Nodes know of changes through notes, which are hints, and by looking every
// [watchInterval], which is the truth.
const (
	channel       = "telltale"
	noteConfig    = "config"
	noteWork      = "work"  // with the number of the node that has more than it can do
	noteNodes     = "nodes" // with the number of the node that came or went
	watchInterval = time.Second
	hintPause     = 50 * time.Millisecond // between two hints of a node
)

// note sends a note of this node to the others. They do without it, if need be.
func (s *Store) note(ctx context.Context, kind string) {
	if _, err := s.readers.Exec(ctx, `SELECT pg_notify($1, $2)`, channel, fmt.Sprintf("%s %d", kind, s.node.Load())); err != nil && ctx.Err() == nil {
		s.log.Debug("The other nodes were not told; they look by themselves.", "note", kind, "error", err)
	}
}

// HintWork has the other nodes look for work that this one leaves to them. It does
// not block, and many hints in a moment are one note.
func (s *Store) HintWork() { hint(s.watcher.work) }

// tell sends the hints.
func (s *Store) tell(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.watcher.work:
		}
		s.note(ctx, noteWork)
		timer := time.NewTimer(hintPause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// watcher keeps the node's configuration up to date, and tells the store how far
// it is.
type watcher struct {
	cancel context.CancelFunc
	ended  chan struct{}
	wake   chan struct{} // to look at the configuration
	work   chan struct{} // to tell the others of work
}

func (s *Store) watch() {
	ctx, cancel := context.WithCancel(context.Background())
	s.watcher = watcher{cancel: cancel, ended: make(chan struct{}), wake: make(chan struct{}, 1), work: make(chan struct{}, 1)}
	var others sync.WaitGroup
	others.Go(func() { s.listen(ctx) })
	others.Go(func() { s.tell(ctx) })
	others.Go(func() { s.addUp(ctx) })
	go func() {
		defer close(s.watcher.ended)
		defer others.Wait()
		told := s.known.Load()
		for {
			told = s.follow(ctx, told)
			timer := time.NewTimer(watchInterval)
			select {
			case <-ctx.Done():
				timer.Stop()
				return
			case <-timer.C:
			case <-s.watcher.wake:
				timer.Stop()
			}
		}
	}()
}

func (w *watcher) stop() {
	if w.cancel != nil {
		w.cancel()
		<-w.ended
	}
}

// hint wakes whoever waits on the channel.
func hint(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// follow learns what changed, tells who wants to know, and then the store, on
// which the node that changed it waits.
func (s *Store) follow(ctx context.Context, told *registry) *registry {
	now, err := s.look(ctx)
	if err != nil {
		if ctx.Err() == nil {
			s.log.Warn("The configuration cannot be read; what is known is used.", "error", err)
		}
		return told
	}
	if now.version == told.version {
		return told
	}
	if s.options.Changed != nil {
		for _, w := range now.allByNumb {
			if before := told.hooks[w.number]; before == nil || before.now().Version != w.now().Version {
				s.options.Changed(w.now())
			}
		}
	}
	if s.options.Configured != nil {
		s.options.Configured()
	}
	if _, err := s.readers.Exec(ctx, `UPDATE node SET config = $1 WHERE number = $2 AND config < $1`, now.version, s.node.Load()); err != nil {
		if ctx.Err() == nil {
			s.log.Warn("The node cannot tell that it knows the configuration; it is tried again.", "error", err)
		}
		return told
	}
	return now
}

// listen hears the notes of other nodes, for as long as the connection lasts, and
// then on another one.
func (s *Store) listen(ctx context.Context) {
	for ctx.Err() == nil {
		err := s.listenOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		s.log.Warn("Notes of other nodes are not heard for now; the node looks every second.", "error", err)
		timer := time.NewTimer(watchInterval)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (s *Store) listenOnce(ctx context.Context) error {
	config := s.readers.Config().ConnConfig.Copy()
	config.RuntimeParams["application_name"] = writerName + " listener"
	config.RuntimeParams["statement_timeout"] = "0"
	c, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx)) //nolint:errcheck // it is only listened on
	if _, err := c.Exec(ctx, "LISTEN "+channel); err != nil {
		return err
	}
	for {
		note, err := c.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		kind, from, _ := strings.Cut(note.Payload, " ")
		own := from == strconv.Itoa(int(s.node.Load()))
		switch {
		case kind == noteConfig:
			hint(s.watcher.wake)
		case own:
		case kind == noteWork && s.options.Work != nil:
			s.options.Work()
		case kind == noteNodes && s.options.Nodes != nil:
			s.options.Nodes()
		}
	}
}

// spread learns the version that this node made, and waits until every node that
// is alive knows it, or has lost its lease.
func (s *Store) spread(ctx context.Context, version int64) error {
	s.noteConfig(ctx)
	ctx, cancel := context.WithTimeout(ctx, telltale.Lease+5*time.Second)
	defer cancel()
	for pause := 2 * time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		var behind int
		err := s.readers.QueryRow(ctx, `SELECT count(*) FROM node WHERE gone_at IS NULL AND lease_until >= telltale_now() AND config < $1`, version).Scan(&behind)
		if err == nil && behind == 0 {
			return nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return unavailable("It is changed, but not every node has said that it knows.", retryBusy, ctx.Err())
		case <-timer.C:
		}
	}
}

// noteConfig has this node know of a change of its own.
func (s *Store) noteConfig(ctx context.Context) {
	if err := s.refreshWith(ctx, s.readers); err != nil {
		s.looked.at.Store(nil)
		s.log.Warn("The configuration was changed, and cannot be read; it is tried again.", "error", err)
	}
	hint(s.watcher.wake)
}
