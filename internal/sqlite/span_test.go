package sqlite

import (
	"slices"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// A webhook that gets a little all the time has millions of spans. A search for
// a rare type goes through them in pieces, and misses nothing.
func TestARareTypeIsFoundBehindManySpans(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ctx := t.Context()
	project, err := s.ProjectBySlug(ctx, telltale.DefaultProjectSlug)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateWebhook(ctx, telltale.NewWebhook(project.ID, "https://receiver.example/in", telltale.AllEventTypes)); err != nil {
		t.Fatal(err)
	}
	event := &telltale.Event{ID: telltale.NewEventID(), ProjectID: project.ID, Type: telltale.Complained, ReceivedAt: time.Now(), UserID: "42"}
	if _, err := s.AcceptEvents(ctx, telltale.Acceptance{ProjectID: project.ID, Events: []*telltale.Event{event}}); err != nil {
		t.Fatal(err)
	}
	c, err := openConn(s.path, sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	const others = 3*spanStep + 7
	owner := s.known.project(project.ID).owner()
	err = c.query(`INSERT INTO span (owner, span, types) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
		SELECT ?, (SELECT max(span) FROM span) + n.i, ? FROM n`).int(others).int(int64(owner)).int(1 << slices.Index(stored.EventTypes, telltale.Opened)).run()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}

	f := telltale.DeliveryFilter{Type: telltale.Complained}
	want, err := s.Deliveries(ctx, project.ID, f, telltale.Page{Limit: 10})
	if err != nil || len(want) != 1 {
		t.Fatalf("%d deliveries are listed: %v", len(want), err)
	}
	var found []telltale.Delivery
	searches := 0
	for page := (telltale.Page{Limit: 10}); ; {
		got, err := s.SearchDeliveries(ctx, project.ID, f, page, 0)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, got.Found...)
		searches++
		if page.After = string(got.Reached); page.After == "" {
			break
		}
	}
	if !slices.EqualFunc(found, want, func(a, b telltale.Delivery) bool { return a.ID == b.ID }) {
		t.Errorf("%d deliveries are found", len(found))
	}
	if searches != 4 {
		t.Errorf("%d spans were looked at in %d searches of %d", others, searches, spanStep)
	}
}
