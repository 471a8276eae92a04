package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// evidence is all that is known after a scenario.
type evidence struct {
	Hooks    []string // ids of the webhooks that every event is owed to
	Posted   map[string]bool
	Acked    map[string]time.Time
	Hits     []hit
	Rows     []row
	Attempts []attempt
	Off      []span // when webhooks were disabled for sure

	Project  map[string]string // of webhooks by id, and of events by key
	Payloads map[string]digest // of events, as they are stored
	Unsound  []string          // what the database itself says is wrong with it
}

// digest is a hash of a body.
type digest [sha256.Size]byte

// row is a delivery in the database.
type row struct {
	Key, Hook string
	Number    int64
	State     int
	Attempts  int
}

// attempt is one in the database.
type attempt struct {
	Delivery  int64
	Number    int
	StartedAt time.Time
	Status    int
	Error     string
}

// span is from when a call that disabled a webhook returned, until another one
// began that enabled it.
type span struct {
	Hook     string
	From, To time.Time
}

// States of deliveries, as rows have them.
const (
	waiting   = 2
	sending   = 3
	succeeded = 4
	failed    = 5
)

// check tells what is not as it is promised:
//
//   - What was acknowledged has a delivery for each webhook, and never two: one that
//     succeeded and arrived, or one that waits, is held, or failed. Nothing is under
//     way any more.
//   - Nothing arrives that was not posted, or is in no row, or is not signed, or has
//     other bytes than were accepted, or is another project's.
//   - A delivery has as many attempts as it says, numbered from 1 on, of which the
//     last alone may have succeeded.
//   - Nothing arrives more often than it was attempted: no node sends what it does
//     not own. What arrived is that attempt's, and what an attempt says that a
//     receiver answered is what it answered. After an attempt that succeeded there
//     is none: what was taken twice had an attempt whose outcome nobody knew.
//   - No attempt begins while a webhook is disabled.
//   - The database finds itself whole, without rows whose owner is gone, and nobody
//     who has gone has claims.
func check(e *evidence) (violations []string) {
	violate := func(format string, args ...any) { violations = append(violations, fmt.Sprintf(format, args...)) }
	type owed struct{ key, hook string }
	rows := map[owed][]row{}
	for _, r := range e.Rows {
		rows[owed{r.Key, r.Hook}] = append(rows[owed{r.Key, r.Hook}], r)
	}
	attempts := map[int64][]attempt{}
	for _, a := range e.Attempts {
		attempts[a.Delivery] = append(attempts[a.Delivery], a)
	}
	hits := map[owed]int{}
	arrived := map[owed]map[int][]hit{} // by attempt
	taken := map[owed]bool{}
	for _, h := range e.Hits {
		if h.Test {
			continue // nobody accepted it
		}
		o := owed{h.Key, h.Hook}
		hits[o]++
		taken[o] = taken[o] || h.Verified && h.Status/100 == 2
		if arrived[o] == nil {
			arrived[o] = map[int][]hit{}
		}
		arrived[o][h.Attempt] = append(arrived[o][h.Attempt], h)
		switch {
		case !h.Verified:
			violate("a request for %s is not signed", h.Key)
		case !e.Posted[h.Key]:
			violate("%q arrived, which nobody posted", h.Key)
		case len(rows[o]) == 0:
			violate("%s arrived, which was never accepted", h.Key)
		case e.Project[h.Key] != e.Project[h.Hook]:
			violate("%s of project %q arrived at a webhook of %q", h.Key, e.Project[h.Key], e.Project[h.Hook])
		case e.Payloads[h.Key] != h.Body:
			violate("%s arrived with other bytes than were accepted", h.Key)
		}
	}
	for key := range e.Acked {
		for _, id := range e.Hooks {
			if e.Project[key] == e.Project[id] && len(rows[owed{key, id}]) == 0 {
				violate("%s was acknowledged, and is owed to nobody at %s", key, id)
			}
		}
	}
	for o, deliveries := range rows {
		if n := len(deliveries); n > 1 {
			violate("%s has %d deliveries to %s", o.key, n, o.hook)
		}
		tried := 0
		for _, r := range deliveries {
			made := attempts[r.Number]
			tried += len(made)
			if len(made) != r.Attempts {
				violate("the delivery of %s has %d attempts, and says %d", o.key, len(made), r.Attempts)
			}
			for i, a := range made {
				if a.Number != i+1 {
					violate("attempt %d of %s stands at place %d", a.Number, o.key, i+1)
				}
				if ok := a.Status/100 == 2; ok != (r.State == succeeded && i == len(made)-1) {
					violate("attempt %d of %d of %s got %d, and the delivery is in state %d", a.Number, len(made), o.key, a.Status, r.State)
				}
				if a.Status != 0 && slices.Contains(e.Hooks, o.hook) && !slices.ContainsFunc(arrived[o][a.Number], func(h hit) bool { return h.Status == a.Status }) {
					violate("attempt %d of %s says that it got %d, and the receiver did not answer that", a.Number, o.key, a.Status)
				}
				for _, off := range e.Off {
					if off.Hook == o.hook && a.StartedAt.After(off.From) && a.StartedAt.Before(off.To) {
						violate("attempt %d of %s began %v after the webhook was disabled", a.Number, o.key, a.StartedAt.Sub(off.From))
					}
				}
			}
			switch {
			case r.State == sending:
				violate("%s is still being sent", o.key)
			case r.State == succeeded && !taken[o]:
				violate("%s succeeded, and did not arrive", o.key)
			}
		}
		if hits[o] > tried {
			violate("%s arrived %d times in %d attempts", o.key, hits[o], tried)
		}
		if len(deliveries) != 1 {
			continue // it was told above
		}
		for n, same := range arrived[o] {
			switch r := deliveries[0]; {
			case n > r.Attempts && r.State == succeeded:
				violate("attempt %d of %s arrived after attempt %d had succeeded", n, o.key, r.Attempts)
			case n > r.Attempts:
				violate("attempt %d of %s arrived, and is nowhere", n, o.key)
			case len(same) > 1:
				violate("attempt %d of %s arrived %d times", n, o.key, len(same))
			}
		}
	}
	violations = append(violations, e.Unsound...)
	slices.Sort(violations)
	return violations
}

// gather asks everyone.
func (w *world) gather() *evidence {
	e := &evidence{Project: map[string]string{}, Payloads: map[string]digest{}}
	e.Posted, e.Acked = w.ledger.copy()
	for _, h := range w.hooks {
		e.Hooks = append(e.Hooks, h.ID)
		e.Project[h.ID] = h.project
	}
	for key := range e.Posted {
		e.Project[key] = w.projectOf(key)
	}
	payload := "hex(payload)"
	if w.server != nil {
		payload = "encode(payload, 'hex')"
	}
	for _, f := range w.rows(`SELECT coalesce(caller_id, user_id), ` + payload + ` FROM event WHERE NOT test AND coalesce(caller_id, user_id) IS NOT NULL`) {
		bytes, err := hex.DecodeString(f[1])
		w.Must(err)
		e.Payloads[f[0]] = sha256.Sum256(bytes)
	}
	e.Unsound = w.unsound()
	for _, f := range w.rows(`SELECT e.user_id, w.id, d.number, d.state, d.attempts FROM ` + w.deliveries() + ` d JOIN event e ON e.number = d.event JOIN webhook w ON w.number = d.webhook WHERE NOT d.test`) {
		e.Rows = append(e.Rows, row{f[0], f[1], w.whole(f[2]), int(w.whole(f[3])), int(w.whole(f[4]))})
	}
	for _, f := range w.rows(`SELECT delivery, attempt, started_at, status, coalesce(error, '') FROM attempt ORDER BY delivery, number`) {
		e.Attempts = append(e.Attempts, attempt{w.whole(f[0]), int(w.whole(f[1])), time.UnixMilli(w.whole(f[2])), int(w.whole(f[3])), f[4]})
	}
	e.Hits = w.sink.arrived()
	return e
}

func (w *world) whole(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		w.Fatalf("%q is no number", text)
	}
	return n
}

// unsound tells what the database knows to be wrong with itself.
func (w *world) unsound() (faults []string) {
	if w.server == nil {
		if found := w.ask(`PRAGMA integrity_check`); found != "ok" {
			faults = append(faults, "integrity check: "+found)
		}
	}
	abandoned := `SELECT count(*) FROM delivery WHERE state = 3 AND node <> (SELECT max(number) FROM node)`
	if w.server != nil {
		abandoned = `SELECT count(*) FROM delivery d LEFT JOIN node n ON n.number = d.node WHERE d.state = 3 AND (n.number IS NULL OR n.lease_until < telltale_now() - 60000)`
	}
	for _, c := range []struct{ what, sql string }{
		{"deliveries without their event", `SELECT count(*) FROM ` + w.deliveries() + ` d LEFT JOIN event e ON e.number = d.event WHERE e.number IS NULL`},
		{"deliveries without their webhook", `SELECT count(*) FROM ` + w.deliveries() + ` d LEFT JOIN webhook w ON w.number = d.webhook WHERE w.number IS NULL`},
		{"deliveries of another project than their webhook", `SELECT count(*) FROM ` + w.deliveries() + ` d JOIN event e ON e.number = d.event JOIN webhook w ON w.number = d.webhook WHERE w.project <> e.project`},
		{"attempts without their delivery", `SELECT count(*) FROM attempt a LEFT JOIN ` + w.deliveries() + ` d ON d.number = a.delivery WHERE d.number IS NULL`},
		{"deliveries without their last attempt", `SELECT count(*) FROM ` + w.deliveries() + ` d LEFT JOIN attempt a ON a.number = d.last_attempt WHERE d.attempts > 0 AND a.number IS NULL`},
		{"claims of somebody who has gone", abandoned},
	} {
		if n := w.number(c.sql); n > 0 {
			faults = append(faults, fmt.Sprintf("%d %s", n, c.what))
		}
	}
	return faults
}

// deliveries is the table of all of them.
func (w *world) deliveries() string {
	if w.server == nil {
		return "delivery"
	}
	return "delivery_all"
}

func (w *world) rows(sql string) (rows [][]string) {
	for line := range strings.Lines(w.ask(sql)) {
		rows = append(rows, strings.Split(strings.TrimSuffix(line, "\n"), "|"))
	}
	return rows
}

// drained waits until nothing is owed any more that can be sent, and gives how
// long that took.
func (w *world) drained() time.Duration {
	began := time.Now()
	w.WaitFor(2*patience, "the queue to be empty", func() bool {
		return w.number(`SELECT count(*) FROM delivery d JOIN webhook w ON w.number = d.webhook WHERE d.state = 3 OR d.state = 2 AND w.enabled`) == 0
	})
	w.Worst("queue empty after", "s", time.Since(began).Seconds())
	return time.Since(began)
}

// verify holds everything against everything, and then sees whether it would have
// noticed if something had been wrong.
func (w *world) verify(off ...span) *evidence {
	e := w.gather()
	e.Off = off
	violations := check(e)
	for _, v := range violations[:min(len(violations), 20)] {
		w.Errorf("%s", v)
	}
	if len(violations) > 20 {
		w.Errorf("and %d more", len(violations)-20)
	}
	if len(e.Acked) == 0 {
		w.Errorf("nothing was acknowledged")
	}
	if !w.Failed() {
		control(w.Run, e)
	}
	return e
}

// duplicates counts what arrived again although it had been taken.
func (e *evidence) duplicates() (n int) {
	seen := map[string]bool{}
	for _, h := range e.Hits {
		if h.Status/100 != 2 {
			continue
		}
		if seen[h.Key+h.Hook] {
			n++
		}
		seen[h.Key+h.Hook] = true
	}
	return n
}

// control spoils the evidence in every way, of which each has to be noticed.
func control(t *Run, e *evidence) {
	done := slices.IndexFunc(e.Rows, func(r row) bool { return r.State == succeeded })
	if done < 0 {
		t.Errorf("nothing succeeded")
		return
	}
	r := e.Rows[done]
	for what, spoil := range map[string]func(*evidence){
		"what arrived did not": func(e *evidence) {
			e.Hits = slices.DeleteFunc(e.Hits, func(h hit) bool { return h.Key == r.Key && h.Hook == r.Hook })
		},
		"its delivery is gone": func(e *evidence) { e.Rows = slices.Delete(e.Rows, done, done+1) },
		"it is there twice":    func(e *evidence) { e.Rows = append(e.Rows, r) },
		"it is under way":      func(e *evidence) { e.Rows[done].State = sending },
		"it was not posted":    func(e *evidence) { delete(e.Posted, r.Key) },
		"it arrived unsigned": func(e *evidence) {
			e.Hits = append(e.Hits, hit{Key: r.Key, Hook: r.Hook, Status: 200, Attempt: r.Attempts})
		},
		"it arrived with other bytes": func(e *evidence) { e.Payloads[r.Key] = digest{} },
		"it was another project's":    func(e *evidence) { e.Project[r.Key] += "-other" },
		"it got another answer": func(e *evidence) {
			for i := range e.Hits {
				if h := &e.Hits[i]; h.Key == r.Key && h.Hook == r.Hook && h.Attempt == r.Attempts {
					h.Status = 201
				}
			}
		},
		"it arrived after it had succeeded": func(e *evidence) {
			again := hit{Key: r.Key, Hook: r.Hook, Status: 200, Verified: true, Body: e.Payloads[r.Key], Attempt: r.Attempts + 1}
			e.Hits = append(e.Hits, again)
		},
		"the database is damaged": func(e *evidence) { e.Unsound = append(e.Unsound, "damaged") },
		"it arrived again": func(e *evidence) {
			for range r.Attempts {
				e.Hits = append(e.Hits, hit{Key: r.Key, Hook: r.Hook, Status: 200, Verified: true, Body: e.Payloads[r.Key], Attempt: r.Attempts})
			}
		},
		"its attempt is not there": func(e *evidence) {
			e.Attempts = slices.DeleteFunc(e.Attempts, func(a attempt) bool { return a.Delivery == r.Number })
		},
		"its attempt was made while it was off": func(e *evidence) {
			at := slices.IndexFunc(e.Attempts, func(a attempt) bool { return a.Delivery == r.Number })
			began := e.Attempts[at].StartedAt
			e.Off = append(e.Off, span{r.Hook, began.Add(-time.Second), began.Add(time.Second)})
		},
	} {
		spoilt := &evidence{Hooks: e.Hooks, Posted: maps.Clone(e.Posted), Acked: e.Acked, Hits: slices.Clone(e.Hits), Rows: slices.Clone(e.Rows), Attempts: slices.Clone(e.Attempts), Off: slices.Clone(e.Off), Project: maps.Clone(e.Project), Payloads: maps.Clone(e.Payloads), Unsound: slices.Clone(e.Unsound)}
		spoil(spoilt)
		if len(check(spoilt)) == 0 {
			t.Errorf("%s, and nobody notices", what)
		}
	}
}
