package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

func (s *Store) Deliveries(ctx context.Context, project telltale.ProjectID, f telltale.DeliveryFilter, page telltale.Page) ([]telltale.Delivery, error) {
	search, err := s.searchDeliveries(ctx, project, f, page)
	if err != nil || search == nil {
		return nil, err
	}
	return search.list(ctx, "listing deliveries")
}

func (s *Store) SearchDeliveries(ctx context.Context, project telltale.ProjectID, f telltale.DeliveryFilter, page telltale.Page, patience time.Duration) (telltale.DeliverySearch, error) {
	var result telltale.DeliverySearch
	search, err := s.searchDeliveries(ctx, project, f, page)
	if err != nil || search == nil {
		return result, err
	}
	search.until = time.Now().Add(patience)
	if result.Found, err = search.list(ctx, "searching deliveries"); err != nil {
		return telltale.DeliverySearch{}, err
	}
	if search.reached != 0 {
		result.Reached, result.ReachedAt = s.ids.Delivery(search.reached), stored.NumberTime(search.reached)
	}
	return result, nil
}

// CountDeliveries gives up after [countTime]: it then tells what it has, and that
// there is more.
func (s *Store) CountDeliveries(ctx context.Context, project telltale.ProjectID, f telltale.DeliveryFilter, limit int) (n int, more bool, err error) {
	search, err := s.searchDeliveries(ctx, project, f, telltale.Page{})
	if err != nil || search == nil {
		return 0, false, err
	}
	search.count, search.until = newCount(limit), time.Now().Add(countTime)
	if err := s.read(ctx, "counting deliveries", search.run); err != nil {
		return 0, false, err
	}
	n, more = search.count.result()
	return n, more, nil
}

// deliverySearch is one list of deliveries, or a count of what it would be. It
// goes through the numbers in stretches, of which each is one statement; a list
// that nobody waits for takes all in one.
type deliverySearch struct {
	store    *Store
	project  *project
	webhook  *webhook // nil for all
	typeCode int64    // -1 for all
	replay   int64    // 0 for all
	filter   telltale.DeliveryFilter
	kinds    []kind
	page     telltale.Page
	within   numbers
	count    *count    // nil: the rows are listed
	until    time.Time // if someone waits; then it stops

	found   []int64 // numbers, in the order of the page
	reached int64   // where it stopped; 0: it is through
}

// mostMatches is how many events that match are looked at in one step; before
// that the steps double.
const mostMatches = 4096

// searchDeliveries gives nil if nothing can be found.
func (s *Store) searchDeliveries(ctx context.Context, project telltale.ProjectID, f telltale.DeliveryFilter, page telltale.Page) (*deliverySearch, error) {
	known, err := s.configured(ctx)
	if err != nil {
		return nil, err
	}
	p := known.project(project)
	search := &deliverySearch{store: s, project: p, filter: f, page: page}
	var ok bool
	if search.typeCode, ok = filterType(f.Type); p == nil || !ok {
		return nil, nil
	}
	if f.WebhookID != "" {
		if search.webhook = known.webhook(f.WebhookID); search.webhook == nil || search.webhook.project != p.number {
			return nil, nil
		}
	}
	if f.State != "" && !slices.Contains(telltale.States(), f.State) {
		return nil, nil
	}
	if f.Answer != nil && *f.Answer == telltale.Answer2xx { // whatever got one has succeeded, and nothing else has
		if f.State != "" && f.State != telltale.StateSucceeded {
			return nil, nil
		}
		search.filter.State, search.filter.Answer = telltale.StateSucceeded, nil
	}
	search.kinds = shownAs(known, p, search.filter)
	search.within, err = s.deliveryPage(f, page)
	if err != nil || search.within.empty() || len(search.kinds) == 0 {
		return nil, err
	}
	return search, nil
}

// deliveryPage gives the numbers of a page of deliveries created in a time.
func (s *Store) deliveryPage(f telltale.DeliveryFilter, page telltale.Page) (numbers, error) {
	within := allNumbers()
	for _, end := range []struct {
		id    string
		bound *int64
	}{{page.After, &within.below}, {page.Before, &within.above}} {
		if end.id == "" {
			continue
		}
		number, ok := s.ids.OfDelivery(telltale.DeliveryID(end.id))
		if !ok {
			return within, telltale.Errorf(telltale.Invalid, "%q is not a delivery's id.", telltale.CutValue(end.id))
		}
		*end.bound = number
	}
	if !f.Since.IsZero() {
		within.cut(numbers{above: stored.CeilMilli(f.Since)<<stored.NumberBits - 1, below: within.below})
	}
	if !f.Until.IsZero() {
		within.cut(numbers{above: within.above, below: stored.CeilMilli(f.Until) << stored.NumberBits})
	}
	return within, nil
}

// kind is a table of deliveries, and which of its rows are meant.
type kind struct {
	table string
	rows  []clause
	found []clause // an index finds these rows by that; nil: among the project's, or the webhook's
}

const (
	openTable = "delivery d"
	doneTable = "delivery_done d"
)

// mostApart is of how many webhooks what waits is looked for one by one.
const mostApart = 32

// shownAs gives, for the state that is asked for, the rows that are shown so.
// What waits is held if its webhook is disabled, and cancelled if it is deleted.
// A webhook may have millions that wait, so each is looked for by itself.
func shownAs(known *registry, p *project, f telltale.DeliveryFilter) []kind {
	finished := func(state int) kind {
		rows := clause{"d.state = ?", []any{state}}
		if state == stored.StateSucceeded {
			return kind{table: doneTable, rows: []clause{rows}}
		}
		return kind{doneTable, []clause{rows}, []clause{ofProject(p), rows}}
	}
	waiting := func(of func(*telltale.Webhook) bool) (kinds []kind) {
		var webhooks []int64
		waits := clause{sql: "d.state = 2"}
		for _, w := range known.allByNumb {
			if now := w.now(); w.project == p.number && (f.WebhookID == "" || f.WebhookID == now.ID) && of(now) {
				webhooks = append(webhooks, w.number)
				kinds = append(kinds, kind{openTable, []clause{waits, ofWebhook(w)}, []clause{ofWebhook(w)}})
			}
		}
		if !wide(f) && len(webhooks) > 1 || len(webhooks) > mostApart {
			return []kind{{table: openTable, rows: []clause{waits, {"d.webhook = ANY(?)", []any{webhooks}}}}}
		}
		return kinds
	}
	switch f.State {
	case telltale.StateWaiting:
		return waiting(func(w *telltale.Webhook) bool { return w.Enabled && !w.Deleted })
	case telltale.StateHeld:
		return waiting(func(w *telltale.Webhook) bool { return !w.Enabled && !w.Deleted })
	case telltale.StateSending:
		return []kind{{table: openTable, rows: []clause{{sql: "d.state = 3"}}}}
	case telltale.StateSucceeded:
		return []kind{finished(stored.StateSucceeded)}
	case telltale.StateFailed:
		return []kind{finished(stored.StateFailed)}
	case telltale.StateCancelled:
		return append(waiting(func(w *telltale.Webhook) bool { return w.Deleted }), finished(stored.StateCancelled))
	}
	if f.Answer != nil { // which no success keeps
		return []kind{{table: openTable}, finished(stored.StateFailed), finished(stored.StateCancelled)}
	}
	return []kind{{table: openTable}, {table: doneTable}}
}

// list reads what is found when all is found: so the server plans how to read it
// once for all lists.
func (s *deliverySearch) list(ctx context.Context, operation string) (list []telltale.Delivery, err error) {
	err = s.store.read(ctx, operation, func(ctx context.Context, q querier) error {
		if err := s.run(ctx, q); err != nil {
			return err
		}
		list, err = s.store.deliveriesByNumber(ctx, q, s.project.ID, newestFirst(s.found, s.page))
		return err
	})
	return list, err
}

// deliveriesByNumber reads deliveries that were found, as they are now, in that
// order. What was purged since is left out.
func (s *Store) deliveriesByNumber(ctx context.Context, q querier, project telltale.ProjectID, numbers []int64) ([]telltale.Delivery, error) {
	if len(numbers) == 0 {
		return nil, nil
	}
	places := make(map[int64]int, len(numbers))
	for i, n := range numbers {
		places[n] = i
	}
	list := make([]telltale.Delivery, len(numbers))
	var row scannedDelivery
	err := each(ctx, q, `SELECT `+deliveryColumns+` FROM unnest($1::bigint[]) wanted CROSS JOIN LATERAL (
			SELECT * FROM delivery o WHERE o.number = wanted UNION ALL SELECT * FROM delivery_done f WHERE f.number = wanted) d `+deliveryJoins, []any{numbers}, row.into(), func() error {
		list[places[row.number]] = row.delivery(s, project)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list, func(d telltale.Delivery) bool { return d.ID == "" }), nil
}

func (s *deliverySearch) run(ctx context.Context, q querier) error {
	if s.filter.ReplayID != "" {
		err := q.QueryRow(ctx, `SELECT number FROM replay WHERE id = $1 AND project = $2`, clean(string(s.filter.ReplayID)), s.project.number).Scan(&s.replay)
		if err != nil {
			return ignoreNoRows(err)
		}
	}
	switch {
	case s.filter.EventID != "":
		return s.ofEvent(ctx, q)
	case s.filter.Match != "":
		return s.ofMatches(ctx, q)
	case s.replay != 0:
		return s.through(ctx, q, s.ways(s.ofReplay()))
	case s.webhook != nil:
		return s.through(ctx, q, s.ways(ofWebhook(s.webhook)))
	}
	return s.through(ctx, q, s.ways(ofProject(s.project)))
}

func ofProject(p *project) clause { return clause{"d.project = ?", []any{p.number}} }
func ofWebhook(w *webhook) clause { return clause{"d.webhook = ?", []any{w.number}} }

func (s *deliverySearch) ofReplay() clause { return clause{"d.replay = ?", []any{s.replay}} }

// wide reports whether a list is of a whole project, or a whole webhook.
func wide(f telltale.DeliveryFilter) bool {
	return f.EventID == "" && f.Match == "" && f.ReplayID == ""
}

func ignoreNoRows(err error) error {
	if noRows(err) {
		return nil
	}
	return err
}

// way is how rows of one kind are found, and which of them are asked for.
type way struct{ found, asked branch }

// ways are how rows of every kind are found by an index of what the clause says.
func (s *deliverySearch) ways(by clause) []way {
	list := make([]way, len(s.kinds))
	for i, k := range s.kinds {
		found := branch{k.table, []clause{by}}
		if k.found != nil && wide(s.filter) {
			found.clauses = k.found
		}
		list[i] = way{found, found.and(k.rows...).and(s.filters()...)}
	}
	return list
}

// through goes through the ways, in stretches if someone waits who may have to
// wait for long.
func (s *deliverySearch) through(ctx context.Context, q querier, ways []way) error {
	if s.until.IsZero() || !s.passesOver() {
		return s.look(ctx, q, s.within, ways)
	}
	found := make([]branch, len(ways))
	for i := range ways {
		found[i] = ways[i].found
	}
	look := func(ctx context.Context, part numbers) error { return s.look(ctx, q, part, ways) }
	rest, err := (&stretches{found, s.within, s.page, s.leastRows(), s.until, look, s.wantsMore}).run(ctx, q)
	s.stopAt(rest)
	return err
}

func (s *deliverySearch) leastRows() int {
	if s.count != nil {
		return leastCount
	}
	return leastRows
}

// wantsMore reports whether to look at what is left, too.
func (s *deliverySearch) wantsMore() bool {
	if s.count != nil && s.count.n > s.count.limit || s.count == nil && len(s.found) >= pageLimit(s.page) {
		return false
	}
	return s.until.IsZero() || time.Now().Before(s.until)
}

// stopAt notes that the rest was not looked at, unless the page is whole.
func (s *deliverySearch) stopAt(rest numbers) {
	switch {
	case rest.empty():
	case s.count != nil:
		s.count.gaveUp = true
	case len(s.found) >= pageLimit(s.page):
	case nearest(s.page):
		s.reached = rest.above
	default:
		s.reached = rest.below
	}
}

// passesOver reports whether many rows that are found may be none that are asked
// for. What waits is found by itself, as a rule; what is sending is never much,
// and has an index.
func (s *deliverySearch) passesOver() bool {
	f := &s.filter
	if f.Type != "" || f.Attempted != nil || f.Answer != nil {
		return true
	}
	switch f.State {
	case "":
		return s.replay != 0 && s.webhook != nil
	case telltale.StateSending:
		return false
	case telltale.StateSucceeded:
		return true
	case telltale.StateWaiting, telltale.StateHeld:
		return s.replay != 0 || s.kinds[0].found == nil
	}
	return s.webhook != nil || s.replay != 0 || s.kinds[0].found == nil
}

// look reads the rows with those numbers, or counts them.
func (s *deliverySearch) look(ctx context.Context, q querier, within numbers, ways []way) error {
	asked := make([]branch, len(ways))
	for i := range ways {
		asked[i] = ways[i].asked.and(within.clauses("d")...)
	}
	if s.count != nil {
		return s.count.rows(ctx, q, asked)
	}
	sql, args := unite(asked, "d.number", order(s.page), pageLimit(s.page)-len(s.found))
	var number int64
	return each(ctx, q, sql, args, []any{&number}, func() error {
		s.found = append(s.found, number)
		return nil
	})
}

// filters is what is asked of every row.
func (s *deliverySearch) filters() []clause {
	list := []clause{ofProject(s.project)}
	if s.webhook != nil {
		list = append(list, ofWebhook(s.webhook))
	}
	if s.typeCode >= 0 {
		list = append(list, clause{"d.type = ?", []any{s.typeCode}})
	}
	if s.replay != 0 {
		list = append(list, s.ofReplay())
	}
	if attempted := s.filter.Attempted; attempted != nil && *attempted {
		list = append(list, clause{"d.attempts > 0", nil})
	} else if attempted != nil {
		list = append(list, clause{"d.attempts = 0", nil})
	}
	if s.filter.Answer != nil {
		list = append(list, clause{"d.last_error IS NOT NULL AND " + got(*s.filter.Answer), nil})
	}
	return list
}

// got is what the status of an attempt that failed has to be.
func got(a telltale.Answer) string {
	for class := 3; class <= 5; class++ {
		if telltale.AnswerOf(100*class) == a {
			return fmt.Sprintf("d.last_status BETWEEN %d AND %d", 100*class, 100*class+99)
		}
	}
	return "coalesce(d.last_status, 0) NOT BETWEEN 300 AND 599"
}

// ofEvent reads an event's deliveries.
func (s *deliverySearch) ofEvent(ctx context.Context, q querier) error {
	u, ok := stored.ParseULID(stored.EventPrefix, string(s.filter.EventID))
	if !ok {
		return nil
	}
	var event int64
	err := q.QueryRow(ctx, `SELECT number FROM event e WHERE e.id = $1 AND e.project = $2 AND ($3 = '' OR $3 IN (e.user_id, e.email, e.message_id))`,
		u[:], s.project.number, clean(s.filter.Match)).Scan(&event)
	if err != nil {
		return ignoreNoRows(err)
	}
	return s.look(ctx, q, s.within, s.ways(clause{"d.event = ?", []any{event}}))
}

// ofMatches reads the deliveries of every event that matches. Those that an event
// was accepted with have the numbers right behind its own (see internal/stored),
// so they stand in the order of the events. What replays made of them stands
// anywhere behind.
func (s *deliverySearch) ofMatches(ctx context.Context, q querier) error {
	var replays bool
	var first int64 // the event whose deliveries the numbers may begin with
	err := q.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM replay WHERE project = $1), coalesce((SELECT number FROM event WHERE project = $1 AND number <= $2 ORDER BY number DESC LIMIT 1), 0)`,
		s.project.number, s.within.above).Scan(&replays, &first)
	if err != nil {
		return err
	}
	within := s.within
	for step := s.leastRows(); ; step = min(2*step, mostMatches) {
		events, err := s.matches(ctx, q, numbers{first - 1, within.below}, step)
		if err != nil {
			return err
		}
		part, rest := within, numbers{}
		if len(events) == step {
			last := events[step-1]
			if part, rest = (numbers{last, within.below}), (numbers{within.above, last}); nearest(s.page) {
				part, rest = rest, part
				first = last
			}
		}
		ways := s.ways(clause{"d.replay IS NULL AND d.event = ANY(?)", []any{events}})
		if replays {
			ways = append(ways, s.ways(s.replayed(part))...)
		}
		if err := s.look(ctx, q, part, ways); err != nil || rest.empty() {
			return err
		}
		if !s.wantsMore() {
			s.stopAt(rest)
			return nil
		}
		within = rest
	}
}

// replayed finds what replays made of the events that match, all of which are
// looked for: they are few, as a rule, next to what a replay makes.
func (s *deliverySearch) replayed(within numbers) clause {
	match := clean(s.filter.Match)
	return clause{`d.replay IS NOT NULL AND d.event = ANY(ARRAY(SELECT e.number FROM event e
		WHERE e.project = ? AND (e.user_id = ? OR e.email = ? OR e.message_id = ?) AND e.number < ?))`, []any{s.project.number, match, match, match, within.below}}
}

// matches gives the numbers of events that match, in the order of the page.
func (s *deliverySearch) matches(ctx context.Context, q querier, within numbers, limit int) (events []int64, err error) {
	branches := matching(s.project, s.filter.Match)
	for i := range branches {
		branches[i].within(within)
	}
	sql, args := unite(branches, "e.number", order(s.page), limit)
	var number int64
	err = each(ctx, q, sql, args, []any{&number}, func() error {
		events = append(events, number)
		return nil
	})
	return events, err
}
