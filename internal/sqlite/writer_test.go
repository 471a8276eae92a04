package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/storetest"
)

// note stores a row that a test finds again.
func note(tx *tx, name string) error {
	return tx.change(`INSERT INTO meta (name, value) VALUES (?, 1)`).text("test " + name).run()
}

func notes(t *testing.T, s *Store) []string {
	t.Helper()
	var names []string
	err := s.read(t.Context(), "reading", func(c *conn) error {
		return c.query(`SELECT substr(name, 6) FROM meta WHERE name LIKE 'test %' ORDER BY name`).each(func(q *query) error {
			names = append(names, q.getText())
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// hold keeps the writer from going on until release is called. What is queued
// meanwhile is the next group.
func hold(t *testing.T, s *Store) (release func()) {
	t.Helper()
	held, released := make(chan struct{}), make(chan struct{})
	done := make(chan error)
	go func() {
		done <- s.write(context.Background(), "holding", 0, func(*tx) error {
			close(held)
			<-released
			return nil
		})
	}()
	<-held
	return sync.OnceFunc(func() {
		close(released)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// queued queues operations one after the other and gives their outcomes, once
// the writer went on.
func queued(t *testing.T, s *Store, ops ...func(*tx) error) []error {
	t.Helper()
	release := hold(t, s)
	outcomes := make([]error, len(ops))
	var wait sync.WaitGroup
	for i, do := range ops {
		wait.Go(func() { outcomes[i] = s.write(context.Background(), "testing", 100, do) })
		waitFor(t, func() bool {
			s.writer.queue.mu.Lock()
			defer s.writer.queue.mu.Unlock()
			return len(s.writer.queue.ops) == i+1
		})
	}
	release()
	wait.Wait()
	return outcomes
}

// waitFor waits for something that nothing tells of.
func waitFor(t *testing.T, ready func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ready(); <-time.After(100 * time.Microsecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain")
		}
	}
}

func TestWhatWaitsTogetherIsOneTransaction(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	var seen []*tx
	op := func(tx *tx) error {
		seen = append(seen, tx)
		return note(tx, fmt.Sprint(len(seen)))
	}
	for _, err := range queued(t, s, op, op, op) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) != 3 || seen[0] != seen[1] || seen[1] != seen[2] {
		t.Errorf("the transactions were %v", seen)
	}
}

func TestAnOperationThatFailsFailsAlone(t *testing.T) {
	t.Parallel()
	fault := errors.New("a fault")
	for _, test := range []struct {
		name string
		fail func(*tx) error
		runs int // of each neighbour
	}{
		{"before it wrote, and nothing is run again", func(*tx) error { return fault }, 1},
		{"after it wrote, and its neighbours are run again", func(tx *tx) error { return errors.Join(note(tx, "lost"), fault) }, 2},
		{"by breaking a rule of the database", func(tx *tx) error {
			if err := tx.change(`INSERT INTO meta (name, value) VALUES ('salt', 1)`).run(); !isConstraint(err) {
				return err
			}
			return fault
		}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			runs := map[string]int{}
			good := func(name string) func(*tx) error {
				return func(tx *tx) error {
					runs[name]++
					return note(tx, name)
				}
			}
			outcomes := queued(t, s, good("a"), test.fail, good("b"), good("c"))
			if outcomes[0] != nil || !errors.Is(outcomes[1], fault) || outcomes[2] != nil || outcomes[3] != nil {
				t.Errorf("the outcomes are %v", outcomes)
			}
			if got := notes(t, s); !slices.Equal(got, []string{"a", "b", "c"}) {
				t.Errorf("what is stored is %v", got)
			}
			if runs["a"] != test.runs {
				t.Errorf("the first was run %d times", runs["a"])
			}
		})
	}
}

func TestMemoryForgetsWhatWasUndone(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	b := &benchStore{Store: s, b: t}
	b.makeWebhooks(1)
	hook := b.hooks[0]
	event := storetest.NewEvents(hook.ProjectID, 1)[0]
	event.ReceivedAt = event.ReceivedAt.Add(-24 * time.Hour) // a lag that was never seen
	row, err := newEventRow(hook.ProjectID, event)
	if err != nil {
		t.Fatal(err)
	}
	before, tail := s.writer.meta, s.writer.digest.current()
	project := telltale.NewProject("lost", "Lost")
	lost := errors.New("lost")
	err = s.write(t.Context(), "failing", 0, func(tx *tx) error {
		w := tx.webhook(hook.ID)
		state := *tx.state(w)
		accept := telltale.Acceptance{ProjectID: hook.ProjectID, Events: []*telltale.Event{event}}
		_, err := tx.accept(accept, []eventRow{row})
		err = errors.Join(err, tx.createProject(project), tx.disable(w.number, &state, telltale.DisabledManual))
		tx.setState(w, &state)
		return errors.Join(err, lost)
	})
	if !errors.Is(err, lost) || telltale.CodeOf(err) != telltale.Internal {
		t.Fatal(err)
	}
	if s.writer.meta != before || len(s.writer.digest.current().entries) != len(tail.entries) || len(s.writer.spans) != 0 {
		t.Error("the writer remembers what was undone")
	}
	if got, err := s.Webhook(t.Context(), hook.ProjectID, hook.ID); err != nil || got != hook {
		t.Errorf("the webhook is %+v: %v", got, err)
	}
	if _, err := s.Project(t.Context(), project.ID); telltale.CodeOf(err) != telltale.NotFound {
		t.Errorf("the project: %v", err)
	}
	if claims := b.accept(hook, 1); len(claims) != 1 {
		t.Errorf("%d claims", len(claims))
	}
}

func TestACallerThatLeavesBeforeItsTurnIsNotServed(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	release := hold(t, s)
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	outcome := make(chan error)
	go func() {
		outcome <- s.write(ctx, "waiting", 0, func(tx *tx) error { return note(tx, "late") })
	}()
	waitFor(t, func() bool {
		s.writer.queue.mu.Lock()
		defer s.writer.queue.mu.Unlock()
		return len(s.writer.queue.ops) == 1
	})
	cancel()
	if err := <-outcome; telltale.CodeOf(err) != telltale.Unavailable || !errors.Is(err, context.Canceled) {
		t.Errorf("the outcome is %v", err)
	}
	release()
	if got := notes(t, s); len(got) != 0 {
		t.Errorf("what is stored is %v", got)
	}
}

func TestACallerThatLeavesInItsTurnLearnsTheOutcome(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := s.write(ctx, "writing", 0, func(tx *tx) error {
		cancel()
		return note(tx, "stored")
	})
	if err != nil {
		t.Errorf("the outcome is %v", err)
	}
	if got := notes(t, s); !slices.Equal(got, []string{"stored"}) {
		t.Errorf("what is stored is %v", got)
	}
}

func TestTheQueueIsBounded(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		ops, bytes int
	}{
		{"in operations", maxQueued, 1},
		{"in bytes", 4, maxQueuedBytes / 4},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			release := hold(t, s)
			defer release()
			nothing := func(*tx) error { return nil }
			for range test.ops {
				op := &operation{bytes: test.bytes, do: nothing, done: make(chan struct{})}
				if err := s.writer.queue.push(op); err != nil {
					t.Fatal(err)
				}
			}
			err := s.write(t.Context(), "one too many", 1, nothing)
			var known *telltale.Error
			if !errors.As(err, &known) || known.Code != telltale.Unavailable || known.RetryAfter <= 0 {
				t.Fatalf("the outcome is %v", err)
			}
			release()
			waitFor(t, func() bool { return s.write(t.Context(), "later", 1, nothing) == nil })
		})
	}
}

func TestClosingWritesWhatIsQueued(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	release := hold(t, s)
	var wait sync.WaitGroup
	outcomes := make([]error, 5)
	for i := range outcomes {
		wait.Go(func() {
			outcomes[i] = s.write(t.Context(), "writing", 0, func(tx *tx) error { return note(tx, fmt.Sprint(i)) })
		})
	}
	waitFor(t, func() bool {
		s.writer.queue.mu.Lock()
		defer s.writer.queue.mu.Unlock()
		return len(s.writer.queue.ops) == len(outcomes)
	})
	closing := make(chan error)
	go func() { closing <- s.Close() }()
	release()
	wait.Wait()
	if err := errors.Join(append(outcomes, <-closing)...); err != nil {
		t.Fatal(err)
	}
	again := openStore(t, s.path)
	defer again.Close()
	if got := notes(t, again); len(got) != len(outcomes) {
		t.Errorf("what is stored is %v", got)
	}
}

func TestAFullDisk(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	b := &benchStore{Store: s, b: t}
	b.makeWebhooks(1)
	hook := b.hooks[0]
	stored := b.accept(hook, 10)
	limit := func(pages string) {
		t.Helper()
		if err := s.write(t.Context(), "limiting", 0, func(tx *tx) error { _, err := tx.conn.pragma("max_page_count=" + pages); return err }); err != nil {
			t.Fatal(err)
		}
	}
	limit("1") // which is as many as there are

	room := &countingRoom{}
	var wait sync.WaitGroup
	for range 20 { // together, and each must fail
		wait.Go(func() {
			_, err := s.AcceptEvents(t.Context(), telltale.Acceptance{ProjectID: hook.ProjectID, Events: storetest.NewEvents(hook.ProjectID, 100), Room: room})
			var known *telltale.Error
			if !errors.As(err, &known) || known.Code != telltale.Unavailable || known.RetryAfter < time.Second {
				t.Errorf("accepting on a full disk: %v", err)
			}
		})
	}
	wait.Wait()
	if room.taken != 0 {
		t.Errorf("room for %d deliveries is taken", room.taken)
	}
	if err := s.Ready(t.Context()); telltale.CodeOf(err) != telltale.Unavailable {
		t.Errorf("it says of itself: %v", err)
	}
	ds, err := s.Deliveries(t.Context(), hook.ProjectID, telltale.DeliveryFilter{}, telltale.Page{Limit: 100})
	if err != nil || len(ds) != len(stored) {
		t.Errorf("%d deliveries can be read: %v", len(ds), err)
	}

	limit("1000000")
	b.finish(stored)
	b.finish(b.accept(hook, 100))
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("afterwards it says of itself: %v", err)
	}
}

type countingRoom struct {
	mu    sync.Mutex
	taken int
}

func (r *countingRoom) Reserve(*telltale.Webhook) bool { r.add(1); return true }
func (r *countingRoom) Release(*telltale.Webhook)      { r.add(-1) }

func (r *countingRoom) add(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken += n
}

func TestALongReadIsEnded(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for range readerCount + 1 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		err := s.read(ctx, "counting", func(c *conn) error {
			return c.query(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n`).run()
		})
		cancel()
		if telltale.CodeOf(err) != telltale.Unavailable {
			t.Fatalf("a read without end gave %v", err)
		}
	}
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestTheLogIsReused(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	b := &benchStore{Store: s, b: t}
	b.makeWebhooks(1)
	written, largest := 0, int64(0)
	for written < 6*logPages*pageSize {
		events := storetest.NewEvents(b.hooks[0].ProjectID, 100)
		for _, e := range events {
			e.Payload = make([]byte, 20_000)
			written += len(e.Payload)
		}
		if _, err := s.AcceptEvents(t.Context(), telltale.Acceptance{ProjectID: b.hooks[0].ProjectID, Events: events}); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(s.path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		largest = max(largest, info.Size())
	}
	if most := int64(4 * logPages * pageSize); largest > most {
		t.Errorf("the log grew to %d bytes, more than %d, while %d were written", largest, most, written)
	}
}

func TestSecretsAreNotInTheFiles(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	project, err := s.ProjectBySlug(t.Context(), telltale.DefaultProjectSlug)
	if err != nil {
		t.Fatal(err)
	}
	hook := telltale.NewWebhook(project.ID, "https://receiver.example/in", telltale.AllEventTypes)
	hook.Headers = []telltale.CustomHeader{{Name: "X-Token", Value: "the-secret-of-the-header", Secret: true}}
	hook.BasicAuth = &telltale.BasicAuth{Username: "jo", Password: "the-password"}
	made, err := s.CreateWebhook(t.Context(), hook)
	if err != nil {
		t.Fatal(err)
	}
	changed := *made
	changed.RotateSecret(time.Hour)
	if _, err := s.UpdateWebhook(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	source := telltale.NewSource(project.ID, "sendgrid", "Newsletters")
	source.Credentials = map[string]string{"key": "the-first-credential"}
	feed, err := s.CreateSource(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	feed.Credentials["key"] = "the-next-credential"
	if _, err := s.UpdateSource(t.Context(), *feed); err != nil {
		t.Fatal(err)
	}
	secrets := []string{"the-secret-of-the-header", "the-password", "the-first-credential", "the-next-credential"}
	for _, secret := range changed.Secrets {
		secrets = append(secrets, strings.TrimPrefix(secret.Value, "whsec_"))
	}
	look := func(when string) {
		t.Helper()
		for _, path := range []string{s.path, s.path + "-wal"} {
			data, err := os.ReadFile(path)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			for _, secret := range secrets {
				if bytes.Contains(data, []byte(secret)) {
					t.Errorf("%s %s holds the secret %q", when, path, secret)
				}
			}
		}
	}
	look("while it is open")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	look("when it is closed")
}
