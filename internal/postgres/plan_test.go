package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"telltale.example/telltale"
)

// A page of a list must be found by indexes and in order, whatever lies in the
// other partitions: a plan that sorts, or that reads a table from end to end, works
// on a small log and stalls on ten million rows. So it is counted what the server
// reads for each usual view.
func TestAPageReadsFewRowsWhateverTheLogHolds(t *testing.T) {
	t.Parallel()
	url, _ := newDatabase(t)
	s := openStore(t, url)
	defer s.Close()
	l := fillLog(t, s)
	ctx := t.Context()
	hook, failing, held := l.hooks[0].ID, l.hooks[1].ID, l.hooks[2].ID
	event, err := s.Event(ctx, l.project, l.event)
	if err != nil {
		t.Fatal(err)
	}
	day := time.Now().Add(-2 * 24 * time.Hour)
	pages := []telltale.Page{{Limit: 51}, {Limit: 51, After: string(l.delivery)}, {Limit: 51, Before: string(l.delivery)}}

	for _, f := range []telltale.DeliveryFilter{
		{}, {WebhookID: hook}, {WebhookID: failing}, {Type: telltale.Opened}, {Type: telltale.Opened, WebhookID: hook}, {Since: day}, {Until: day}, {Since: day, Until: day.Add(time.Hour)},
		{State: telltale.StateSucceeded}, {State: telltale.StateFailed}, {State: telltale.StateFailed, WebhookID: failing}, {State: telltale.StateCancelled},
		{State: telltale.StateWaiting}, {State: telltale.StateWaiting, WebhookID: failing}, {State: telltale.StateHeld}, {State: telltale.StateHeld, WebhookID: held}, {State: telltale.StateSending},
		{State: telltale.StateWaiting, Attempted: new(true)}, {Answer: new(telltale.Answer5xx)}, {Answer: new(telltale.Answer2xx)},
		{EventID: event.ID}, {Match: event.UserID}, {Match: event.Email}, {Match: event.MessageID}, {Match: event.UserID, State: telltale.StateFailed}, {Match: "nobody"},
	} {
		for _, page := range pages {
			for _, patience := range []time.Duration{0, time.Hour} {
				search, err := s.searchDeliveries(ctx, l.project, f, page)
				if err != nil {
					t.Fatal(err)
				}
				if search == nil { // nothing can be on the page
					continue
				}
				if patience > 0 {
					search.until = time.Now().Add(patience)
				}
				e := &explained{t: t, querier: s.readers}
				if err := search.run(ctx, e); err != nil {
					t.Fatal(err)
				}
				if _, err := s.deliveriesByNumber(ctx, e, l.project, search.found); err != nil {
					t.Fatal(err)
				}
				e.check(fmt.Sprintf("deliveries of %+v on %+v", f, page), len(search.found))
			}
		}
	}

	pages = []telltale.Page{{Limit: 51}, {Limit: 51, After: string(event.ID)}, {Limit: 51, Before: string(event.ID)}}
	for _, f := range []telltale.EventFilter{
		{}, {Type: telltale.Opened}, {Since: day}, {Until: day}, {Type: telltale.Opened, Since: day, Until: day.Add(time.Hour)},
		{Match: event.UserID}, {Match: event.Email}, {Match: event.MessageID}, {Match: event.UserID, Type: telltale.Opened}, {Match: "nobody"},
	} {
		for _, page := range pages {
			search, err := s.searchEvents(ctx, l.project, f, page)
			if err != nil {
				t.Fatal(err)
			}
			e := &explained{t: t, querier: s.readers}
			found := 0
			if err := search.bound(ctx, e); err != nil {
				t.Fatal(err)
			}
			if err := search.each(ctx, e, pageLimit(page), func(*telltale.Event) { found++ }); err != nil {
				t.Fatal(err)
			}
			e.check(fmt.Sprintf("events of %+v on %+v", f, page), found)
		}
	}

	end, err := s.LogEnd(ctx)
	if err != nil {
		t.Fatal(err)
	}
	e := &explained{t: t, querier: s.readers}
	stretch := logSearch{store: s, project: s.known.Load().project(l.project), within: numbers{above: int64(end) - 200*l.step, below: int64(end) + 1}, limit: 100}
	happened, err := stretch.deliveries(ctx, e)
	if err != nil {
		t.Fatal(err)
	}
	events, err := stretch.events(ctx, e)
	if err != nil {
		t.Fatal(err)
	}
	if len(events) == 0 || len(happened) == 0 {
		t.Fatalf("the log has %d events and %d deliveries", len(events), len(happened))
	}
	e.check("the log", len(events))
}

// filledLog is a log of some days.
type filledLog struct {
	project  telltale.ProjectID
	hooks    []*telltale.Webhook
	event    telltale.EventID    // from its midst
	delivery telltale.DeliveryID // likewise
	step     int64               // numbers from an event to the next
}

// fillLog stores, for each of five days, thousands of events of a project with a
// delivery each, and as many that are held; and of another project a few.
func fillLog(t *testing.T, s *Store) filledLog {
	t.Helper()
	const days, perDay = 5, 4000
	l := filledLog{step: dayMilli << 11 / perDay}
	ctx := t.Context()
	project, err := s.ProjectBySlug(ctx, telltale.DefaultProjectSlug)
	if err != nil {
		t.Fatal(err)
	}
	l.project = project.ID
	other := telltale.NewProject("other", "Other")
	if err := s.CreateProject(ctx, other); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		made := telltale.NewWebhook(project.ID, "https://receiver.example/in", telltale.AllEventTypes)
		if i == 3 {
			made.ProjectID = other.ID
		}
		hook, err := s.CreateWebhook(ctx, made)
		if err != nil {
			t.Fatal(err)
		}
		l.hooks = append(l.hooks, hook)
	}
	if _, err := s.DisableWebhook(ctx, project.ID, l.hooks[2].ID, telltale.DisabledManual); err != nil {
		t.Fatal(err)
	}
	today := dayOf(time.Now().UnixMilli())
	for day := today - days + 1; day <= today; day++ {
		if err := s.partitions.ensure(ctx, s.writers, day); err != nil {
			t.Fatal(err)
		}
	}
	middle := int64(0)
	err = s.write(ctx, "filling the log", func(tx *tx) error {
		numbers := func(name string) int64 {
			return tx.known.webhook(l.hooks[map[string]int{"sound": 0, "failing": 1, "held": 2, "other": 3}[name]].ID).number
		}
		first := tx.milli<<11 - (days-1)*perDay*l.step
		middle = first + days*perDay/2*l.step
		for _, sql := range []string{
			`INSERT INTO event (number, id, project, type, test, source, received_at, occurred_at, user_id, email, message_id, payload)
				SELECT n, uuid_send(md5(n::text)::uuid), CASE WHEN i % 50 = 1 THEN $5 ELSE $4 END, i % 5, false, 'api', n >> 11, n >> 11, 'user-' || i % 5000, i % 5000 || '@mail.example', 'message-' || i, '{}'
				FROM (SELECT i, $1::bigint + i * $2::bigint AS n FROM generate_series(0, $3::bigint - 1) i) x`,
			`INSERT INTO delivery_done (number, event, project, webhook, type, test, state, attempts, step, tries, at, last_attempt, last_error, last_status, claim, node, manual, epoch)
				SELECT number + 1, number, project, CASE WHEN project = $5 THEN $9 WHEN i % 100 = 0 THEN $7 ELSE $6 END, type, false, s, 1, 1, 1, number >> 11, number + 2,
				CASE WHEN s <> 4 THEN 'http_status' END, CASE WHEN s <> 4 THEN 500 END, 1, 1, 0, 1
				FROM (SELECT *, (number - $1) / $2 AS i, CASE WHEN (number - $1) / $2 % 100 = 0 THEN 5 WHEN (number - $1) / $2 % 100 = 5 THEN 6 ELSE 4 END AS s FROM event) e`,
			`INSERT INTO attempt (number, delivery, attempt, trigger, node, started_at, duration, status) SELECT number + 1, number, 1, 0, 1, number >> 11, 5000, 200 FROM delivery_done`,
			`INSERT INTO delivery (number, event, project, webhook, type, test, state, attempts, step, tries, at, last_attempt, last_error, last_status, claim, node, manual, epoch)
				SELECT number + 3, number, project, CASE WHEN (number - $1) / $2 % 100 = 7 THEN $7 ELSE $8 END, type, false, 2, 1, 1, 1, number >> 11, number + 3, 'http_status', 500, 1, 1, 0, 1 FROM event WHERE project = $4`,
		} {
			args := []any{first, l.step, int64((days - 1) * perDay), tx.known.project(project.ID).number, tx.known.project(other.ID).number, numbers("sound"), numbers("failing"), numbers("held"), numbers("other")}
			for i := range args { // each statement has some of them
				sql = strings.ReplaceAll(sql, fmt.Sprintf("$%d", i+1), fmt.Sprint(args[i]))
			}
			if _, err := tx.exec(sql); err != nil {
				return err
			}
		}
		_, err := tx.exec(fmt.Sprintf(`SELECT setval('line', %d)`, tx.milli<<11))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.writers.Exec(ctx, `ANALYZE`); err != nil {
		t.Fatal(err)
	}
	list, err := s.Deliveries(ctx, project.ID, telltale.DeliveryFilter{}, telltale.Page{Limit: 1, After: string(s.ids.Delivery(middle + 2))})
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	l.event, l.delivery = list[0].EventID, list[0].ID
	return l
}

// explained asks the server what it does for each query.
type explained struct {
	t *testing.T
	querier
	rows, sorted int
	text         strings.Builder
}

func (e *explained) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	e.explain(ctx, sql, args)
	return e.querier.Query(ctx, sql, args...)
}

func (e *explained) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	e.explain(ctx, sql, args)
	return e.querier.QueryRow(ctx, sql, args...)
}

// planNode is part of what the server tells of a plan.
type planNode struct {
	Type     string     `json:"Node Type"`
	Relation string     `json:"Relation Name"`
	Rows     float64    `json:"Actual Rows"`
	Loops    float64    `json:"Actual Loops"`
	Removed  float64    `json:"Rows Removed by Filter"`
	Plans    []planNode `json:"Plans"`
}

func (e *explained) explain(ctx context.Context, sql string, args []any) {
	e.t.Helper()
	var text string
	if err := e.querier.QueryRow(ctx, "EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) "+sql, args...).Scan(&text); err != nil {
		e.t.Fatalf("%v in %s", err, sql)
	}
	var plans []struct{ Plan planNode }
	if err := json.Unmarshal([]byte(text), &plans); err != nil {
		e.t.Fatal(err)
	}
	fmt.Fprintln(&e.text, sql)
	e.add(plans[0].Plan, 1)
}

func (e *explained) add(n planNode, depth int) {
	read := int((n.Rows + n.Removed) * n.Loops)
	if read > 0 {
		fmt.Fprintf(&e.text, "%s%s %s: %d\n", strings.Repeat("  ", depth), n.Type, n.Relation, read)
	}
	if n.Relation != "" {
		e.rows += read
	}
	if strings.Contains(n.Type, "Sort") {
		e.sorted += read
	}
	for _, p := range n.Plans {
		e.add(p, depth+1)
	}
}

// mostRead is how many rows may be read for a page: those of the page with all
// that belongs to them, and some that are passed over.
const mostRead = 1000

func (e *explained) check(what string, found int) {
	e.t.Helper()
	if e.rows > mostRead || e.sorted > mostRead {
		e.t.Errorf("%d rows are read and %d sorted to find %d %s:\n%s", e.rows, e.sorted, found, what, &e.text)
	}
}
