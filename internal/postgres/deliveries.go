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
	if err := s.read(ctx, "listing deliveries", search.run); err != nil {
		return nil, err
	}
	return newestFirst(search.found, page), nil
}

func (s *Store) SearchDeliveries(ctx context.Context, project telltale.ProjectID, f telltale.DeliveryFilter, page telltale.Page, patience time.Duration) (telltale.DeliverySearch, error) {
	var result telltale.DeliverySearch
	search, err := s.searchDeliveries(ctx, project, f, page)
	if err != nil || search == nil {
		return result, err
	}
	search.until = time.Now().Add(patience)
	if err := s.read(ctx, "searching deliveries", search.run); err != nil {
		return result, err
	}
	result.Found = newestFirst(search.found, page)
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
	search.count = newCount(limit)
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

	found   []telltale.Delivery
	reached int64 // where it stopped; 0: it is through
}

// A stretch has a few rows at first, which is enough for most pages, and then
// more and more.
const (
	leastStep = 64
	mostStep  = 1 << 16
)

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
		within.cut(numbers{above: ceilMilli(f.Since)<<stored.NumberBits - 1, below: within.below})
	}
	if !f.Until.IsZero() {
		within.cut(numbers{above: within.above, below: ceilMilli(f.Until) << stored.NumberBits})
	}
	return within, nil
}

// kind is a table of deliveries, and which of its rows are meant.
type kind struct {
	table string
	rows  []clause
	// rare says that an index of the project's rows has these by themselves.
	rare bool
}

const (
	openTable = "delivery d"
	doneTable = "delivery_done d"
)

// shownAs gives, for the state that is asked for, the rows that are shown so.
// What waits is held if its webhook is disabled, and cancelled if it is deleted.
func shownAs(known *registry, p *project, f telltale.DeliveryFilter) []kind {
	finished := func(state int) kind {
		return kind{doneTable, []clause{{"d.state = ?", []any{state}}}, state != stored.StateSucceeded}
	}
	waiting := func(of func(*telltale.Webhook) bool) []kind {
		var webhooks []int64
		for _, w := range known.allByNumb {
			if now := w.now(); w.project == p.number && (f.WebhookID == "" || f.WebhookID == now.ID) && of(now) {
				webhooks = append(webhooks, w.number)
			}
		}
		if webhooks == nil {
			return nil
		}
		return []kind{{openTable, []clause{{"d.state = 2", nil}, {"d.webhook = ANY(?)", []any{webhooks}}}, false}}
	}
	switch f.State {
	case telltale.StateWaiting:
		return waiting(func(w *telltale.Webhook) bool { return w.Enabled && !w.Deleted })
	case telltale.StateHeld:
		return waiting(func(w *telltale.Webhook) bool { return !w.Enabled && !w.Deleted })
	case telltale.StateSending:
		return []kind{{openTable, []clause{{"d.state = 3", nil}}, false}}
	case telltale.StateSucceeded:
		return []kind{finished(stored.StateSucceeded)}
	case telltale.StateFailed:
		return []kind{finished(stored.StateFailed)}
	case telltale.StateCancelled:
		return append(waiting(func(w *telltale.Webhook) bool { return w.Deleted }), finished(stored.StateCancelled))
	}
	if f.Answer != nil { // which no success keeps
		return []kind{{openTable, nil, false}, finished(stored.StateFailed), finished(stored.StateCancelled)}
	}
	return []kind{{openTable, nil, false}, {doneTable, nil, false}}
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
		return s.through(ctx, q, func(kind) []clause { return []clause{{"d.replay = ?", []any{s.replay}}} })
	}
	return s.through(ctx, q, func(k kind) []clause {
		switch {
		case k.rare:
			return append([]clause{{"d.project = ?", []any{s.project.number}}}, k.rows...)
		case s.webhook != nil:
			return []clause{{"d.webhook = ?", []any{s.webhook.number}}}
		}
		return []clause{{"d.project = ?", []any{s.project.number}}}
	})
}

func ignoreNoRows(err error) error {
	if noRows(err) {
		return nil
	}
	return err
}

// through goes through what an index finds: by says by what it does.
func (s *deliverySearch) through(ctx context.Context, q querier, by func(kind) []clause) error {
	branches := s.branches(by)
	within := s.within
	for step := s.leastStep(); ; step = min(2*step, mostStep) {
		part, rest, err := s.split(ctx, q, within, step, branches)
		if err == nil {
			err = s.look(ctx, q, part, branches)
		}
		if err != nil || rest.empty() || !s.goOn(rest) {
			return err
		}
		within = rest
	}
}

func (s *deliverySearch) branches(by func(kind) []clause) []branch {
	list := make([]branch, len(s.kinds))
	for i, k := range s.kinds {
		list[i] = branch{k.table, by(k)}
	}
	return list
}

func (s *deliverySearch) leastStep() int {
	if s.count != nil {
		return leastCounted
	}
	return leastStep
}

// split divides the numbers behind so many rows that the index finds, if
// someone waits who may have to wait for long.
func (s *deliverySearch) split(ctx context.Context, q querier, within numbers, step int, branches []branch) (part, rest numbers, err error) {
	if s.until.IsZero() && s.count == nil || !s.passesOver() {
		return within, numbers{}, nil
	}
	bounded := make([]branch, len(branches))
	for i := range branches {
		bounded[i] = branches[i].with(within.clauses("d")...)
	}
	last, err := lastOf(ctx, q, bounded, s.page, step)
	if err != nil || last == 0 {
		return within, numbers{}, err
	}
	part, rest = within.splitAt(last, nearest(s.page))
	return part, rest, nil
}

// passesOver reports whether rows that the index finds may be none that are
// asked for.
func (s *deliverySearch) passesOver() bool {
	f := &s.filter
	return f.State != "" || f.Type != "" || f.Attempted != nil || f.Answer != nil || s.replay != 0 && s.webhook != nil
}

// look reads the rows with those numbers, or counts them.
func (s *deliverySearch) look(ctx context.Context, q querier, within numbers, branches []branch) error {
	filters := append(within.clauses("d"), s.filters()...)
	narrowed := make([]branch, len(branches))
	for i := range branches { // as many of each kind
		narrowed[i] = branches[i].with(s.kinds[i%len(s.kinds)].rows...).with(filters...)
	}
	if s.count != nil {
		return s.count.rows(ctx, q, narrowed)
	}
	sql, args := unite(narrowed, "d.*", order(s.page), pageLimit(s.page)-len(s.found))
	var row scannedDelivery
	return each(ctx, q, `SELECT `+deliveryColumns+` FROM (`+sql+`) d `+deliveryJoins+` ORDER BY d.number `+order(s.page), args, row.into(), func() error {
		s.found = append(s.found, row.delivery(s.store, s.project.ID))
		return nil
	})
}

// filters is what is asked of every row.
func (s *deliverySearch) filters() []clause {
	list := []clause{{"d.project = ?", []any{s.project.number}}}
	if s.webhook != nil {
		list = append(list, clause{"d.webhook = ?", []any{s.webhook.number}})
	}
	if s.typeCode >= 0 {
		list = append(list, clause{"d.type = ?", []any{s.typeCode}})
	}
	if s.replay != 0 {
		list = append(list, clause{"d.replay = ?", []any{s.replay}})
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

// goOn reports whether to look at the rest, too.
func (s *deliverySearch) goOn(rest numbers) bool {
	switch {
	case s.count != nil:
		return s.count.more()
	case len(s.found) >= pageLimit(s.page):
		return false
	case !s.until.IsZero() && !time.Now().Before(s.until):
		if s.reached = rest.below; nearest(s.page) {
			s.reached = rest.above
		}
		return false
	}
	return true
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
	return s.look(ctx, q, s.within, s.branches(func(kind) []clause { return []clause{{"d.event = ?", []any{event}}} }))
}

// ofMatches reads the deliveries of every event that matches. Those that an event
// was accepted with have the numbers right behind its own (see [tx.insertEvent]),
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
	for step := s.leastStep(); ; step = min(2*step, mostStep) {
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
		branches := s.branches(func(kind) []clause { return []clause{{"d.replay IS NULL AND d.event = ANY(?)", []any{events}}} })
		if replays {
			branches = append(branches, s.branches(s.replayed(part))...)
		}
		if err := s.look(ctx, q, part, branches); err != nil || rest.empty() || !s.goOn(rest) {
			return err
		}
		within = rest
	}
}

// replayed finds what replays made of the events that match, all of which are
// looked for: they are few, as a rule, next to what a replay makes.
func (s *deliverySearch) replayed(within numbers) func(kind) []clause {
	match := clean(s.filter.Match)
	return func(kind) []clause {
		return []clause{{`d.replay IS NOT NULL AND d.event = ANY(ARRAY(SELECT e.number FROM event e
			WHERE e.project = ? AND (e.user_id = ? OR e.email = ? OR e.message_id = ?) AND e.number < ?))`, []any{s.project.number, match, match, match, within.below}}}
	}
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
