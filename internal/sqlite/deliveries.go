package sqlite

import (
	"context"
	"slices"
	"strings"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

func (s *Store) Deliveries(ctx context.Context, project telltale.ProjectID, f telltale.DeliveryFilter, page telltale.Page) ([]telltale.Delivery, error) {
	search, err := s.searchDeliveries(project, f, page)
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
	search, err := s.searchDeliveries(project, f, page)
	if err != nil || search == nil {
		return result, err
	}
	search.until = time.Now().Add(patience)
	if err := s.read(ctx, "searching deliveries", search.run); err != nil {
		return result, err
	}
	search.dropBehind()
	result.Found = newestFirst(search.found, page)
	if search.reached != 0 {
		result.Reached, result.ReachedAt = s.ids.Delivery(search.reached), stored.NumberTime(search.reached)
	}
	return result, nil
}

// CountDeliveries gives up after [countTime], or when it has looked at
// [countRows] rows: it then tells what it has, and that there is more.
func (s *Store) CountDeliveries(ctx context.Context, project telltale.ProjectID, f telltale.DeliveryFilter, limit int) (n int, more bool, err error) {
	search, err := s.searchDeliveries(project, f, telltale.Page{})
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

// searchDeliveries gives nil if nothing can be found.
func (s *Store) searchDeliveries(project telltale.ProjectID, f telltale.DeliveryFilter, page telltale.Page) (*deliverySearch, error) {
	if err := s.down(); err != nil {
		return nil, err
	}
	p := s.known.project(project)
	search := &deliverySearch{store: s, project: p, id: project, filter: f, page: page}
	var ok bool
	if search.typeCode, ok = filterType(f.Type); p == nil || !ok {
		return nil, nil
	}
	if f.WebhookID != "" {
		if search.webhook = s.known.webhook(f.WebhookID); search.webhook == nil || search.webhook.project != p {
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
	var err error
	if search.within, err = s.deliveryPage(f, page); err != nil {
		return nil, err
	}
	search.tail = s.writer.digest.current()
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

// deliverySearch is one list of deliveries, or a count of what it would be.
// What narrows it most decides by which ways its rows are found.
type deliverySearch struct {
	store    *Store
	project  *project
	id       telltale.ProjectID
	webhook  *webhook // nil for all
	typeCode int64    // -1 for all
	replay   int64    // 0 for all
	filter   telltale.DeliveryFilter
	page     telltale.Page
	within   numbers
	tail     tail
	count    *count    // nil: the rows are listed
	until    time.Time // if someone waits; then it stops

	found   []telltale.Delivery
	reached int64 // where it stopped; 0: it is through
}

// A search with someone who waits looks at a few rows first, which is enough
// for most pages, and then at more and more in one step.
const (
	leastStep = 64
	mostStep  = 4096
	spanStep  = 10_000 // spans
)

// A way leads to rows, in the order of their numbers.
type way struct {
	from   string
	key    string
	few    bool                          // rows: they are looked at in one step
	narrow func(l *list, within numbers) // to where the index has them
}

func (s *deliverySearch) run(c *conn) error {
	if s.filter.ReplayID != "" {
		found, err := c.query(`SELECT number FROM replay WHERE id = ? AND project = ?`).text(string(s.filter.ReplayID)).int(s.project.number).
			one(func(q *query) { s.replay = q.getInt() })
		if err != nil || !found {
			return err
		}
	}
	switch {
	case s.within.empty():
		return nil
	case s.filter.EventID != "":
		return s.ofEvent(c)
	case s.filter.Match != "":
		return s.ofMatches(c)
	case s.replay != 0:
		return s.read(c, s.within, way{from: "delivery d INDEXED BY delivery_replay", key: "d.number", narrow: func(l *list, _ numbers) {
			l.where("d.replay = ?", s.replay)
		}})
	case s.filter.Answer != nil && (s.filter.State == "" || s.filter.State == telltale.StateFailed || s.filter.State == telltale.StateCancelled):
		return s.read(c, s.within, way{from: "delivery d INDEXED BY delivery_answer", key: "d.number", narrow: func(l *list, _ numbers) {
			l.where("d.last_error IS NOT NULL")
			l.where("d.project = ?", s.project.number)
			l.where(answerClass+" = ?", answerCode(*s.filter.Answer))
		}})
	}
	if kinds := shownAs(s.filter.State); kinds != nil {
		ways := make([]way, len(kinds))
		for i, kind := range kinds {
			ways[i] = way{from: "delivery d INDEXED BY delivery_unsettled", key: "d.number", narrow: func(l *list, _ numbers) {
				l.where(kind.row)
				l.where("d.project = ?", s.project.number)
				l.filter(kind.webhook)
			}}
		}
		return s.read(c, s.within, ways...)
	}
	of := s.project.owner()
	if s.webhook != nil {
		of = s.webhook.owner()
	}
	return s.inSpans(c, of)
}

// inSpans reads the owner's rows. It passes over spans without the type, of
// which there may be millions, so it goes through some at a time.
func (s *deliverySearch) inSpans(c *conn, of owner) error {
	w := way{from: "span s CROSS JOIN delivery d", key: "s.span,d.number", narrow: func(l *list, within numbers) {
		l.inSpans(of, "d.number", within, s.typeCode)
	}}
	if s.typeCode < 0 || s.until.IsZero() && s.count == nil {
		return s.read(c, s.within, w)
	}
	for within := s.within; ; {
		part, rest, err := splitSpans(c, of, within, nearest(s.page), spanStep)
		if err == nil {
			err = s.read(c, part, w)
		}
		if err != nil || rest.empty() || !s.goOn(rest) {
			return err
		}
		within = rest
	}
}

// answerClass is what the index delivery_answer holds, to the letter.
const answerClass = "iif(d.last_status BETWEEN 300 AND 599, d.last_status / 100, 0)"

// answerCode gives what stands there for an answer that is no success.
func answerCode(a telltale.Answer) int64 {
	for status := int64(300); status < 600; status += 100 {
		if telltale.AnswerOf(int(status)) == a {
			return status / 100
		}
	}
	return 0
}

// read reads the page, or counts, on ways that have no row in common.
func (s *deliverySearch) read(c *conn, within numbers, ways ...way) error {
	begin := len(s.found)
	for _, w := range ways {
		var err error
		if s.count != nil {
			from := w.from
			if shownAs(s.filter.State) != nil { // then the webhook decides, too
				from += " CROSS JOIN webhook w ON w.number = d.webhook"
			}
			err = s.count.rows(c, within, from, func(within numbers) list { return s.list(w, within) })
		} else {
			err = s.collect(c, within, w, pageLimit(s.page)-begin)
		}
		if err != nil {
			return err
		}
	}
	if len(ways) < 2 {
		return nil
	}
	slices.SortFunc(s.found[begin:], func(a, b telltale.Delivery) int {
		if nearest(s.page) {
			return strings.Compare(string(a.ID), string(b.ID))
		}
		return strings.Compare(string(b.ID), string(a.ID))
	})
	s.found = s.found[:min(len(s.found), pageLimit(s.page))]
	return nil
}

// collect reads rows on the way, at most that many.
func (s *deliverySearch) collect(c *conn, within numbers, w way, most int) error {
	for step := leastStep; ; step = min(2*step, mostStep) {
		part, rest, err := s.split(c, within, w, step)
		if err != nil {
			return err
		}
		l := s.list(w, part)
		l.page.Limit = most
		err = l.each(c, `SELECT `+deliveryColumns+` FROM `+w.from+` `+deliveryJoins, func(q *query) error {
			s.found = append(s.found, s.store.scanDelivery(q, s.id))
			most--
			return nil
		})
		if err != nil || most == 0 || rest.empty() {
			return err
		}
		if s.late() {
			s.stopAt(rest)
			return nil
		}
		within = rest
	}
}

// split divides the numbers behind so many rows on the way.
func (s *deliverySearch) split(c *conn, within numbers, w way, most int) (part, rest numbers, err error) {
	if s.until.IsZero() || w.few {
		return within, numbers{}, nil
	}
	l := s.list(w, within)
	l.filters, l.filterArgs = nil, nil
	looked, _, last, err := l.count(c, w.from, most)
	if err != nil || looked < most {
		return within, numbers{}, err
	}
	part, rest = within.splitAt(last, nearest(s.page))
	return part, rest, nil
}

// goOn reports whether to look at the rest, too.
func (s *deliverySearch) goOn(rest numbers) bool {
	if s.count != nil {
		return s.count.more()
	}
	if s.reached == 0 && s.late() {
		s.stopAt(rest)
	}
	return s.reached == 0 && len(s.found) < pageLimit(s.page)
}

func (s *deliverySearch) late() bool { return !s.until.IsZero() && !time.Now().Before(s.until) }

// stopAt notes that the rest is not looked at. Of several ways the one that
// came least far counts.
func (s *deliverySearch) stopAt(rest numbers) {
	switch {
	case nearest(s.page) && (s.reached == 0 || rest.above < s.reached):
		s.reached = rest.above
	case !nearest(s.page):
		s.reached = max(s.reached, rest.below)
	}
}

// dropBehind drops what one way found behind the place where another stopped. A
// page that is whole nevertheless stopped nowhere.
func (s *deliverySearch) dropBehind() {
	if s.reached == 0 {
		return
	}
	end := s.store.ids.Delivery(s.reached)
	s.found = slices.DeleteFunc(s.found, func(d telltale.Delivery) bool {
		if nearest(s.page) {
			return d.ID > end
		}
		return d.ID < end
	})
	if len(s.found) >= pageLimit(s.page) {
		s.reached = 0
	}
}

// list gives the rows on the way that are within the numbers.
func (s *deliverySearch) list(w way, within numbers) list {
	l := list{page: s.page, key: w.key}
	w.narrow(&l, within)
	l.where("d.number > ?", within.above)
	l.where("d.number < ?", within.below)
	l.filter("d.project = ?", s.project.number)
	if s.webhook != nil {
		l.filter("d.webhook = ?", s.webhook.number)
	}
	if s.typeCode >= 0 {
		l.filter("d.type = ?", s.typeCode)
	}
	if s.replay != 0 {
		l.filter("d.replay = ?", s.replay)
	}
	if attempted := s.filter.Attempted; attempted != nil {
		if *attempted {
			l.filter("d.attempts > 0")
		} else {
			l.filter("d.attempts = 0")
		}
	}
	if s.filter.Answer != nil {
		l.filter("d.last_error IS NOT NULL AND "+answerClass+" = ?", answerCode(*s.filter.Answer))
	}
	if s.filter.State == telltale.StateSucceeded {
		l.filter("d.state = 4")
	}
	if kinds := shownAs(s.filter.State); kinds != nil {
		any := make([]string, len(kinds))
		for i, kind := range kinds {
			any[i] = "(" + kind.row + " AND " + kind.webhook + ")"
		}
		l.filter("(" + strings.Join(any, " OR ") + ")")
	}
	return l
}

// ofEvent reads an event's deliveries.
func (s *deliverySearch) ofEvent(c *conn) error {
	u, ok := stored.ParseULID(stored.EventPrefix, string(s.filter.EventID))
	if !ok {
		return nil
	}
	var event int64
	found, err := c.query(`SELECT number FROM event e WHERE e.id = ? AND e.project = ? AND (?3 = '' OR ?3 IN (e.user_id, e.email, e.message_id))`).
		blob(u[:]).int(s.project.number).text(s.filter.Match).one(func(q *query) { event = q.getInt() })
	if err != nil || !found {
		return err
	}
	behind, err := s.behind(c, event)
	if err != nil {
		return err
	}
	return s.read(c, s.within, behind, way{from: "delivery d INDEXED BY delivery_replayed", key: "d.number", few: true, narrow: func(l *list, _ numbers) {
		l.where("d.replay IS NOT NULL")
		l.where("d.event = ?", event)
	}})
}

// behind is the way to the deliveries that stand right behind an event: those
// that it was accepted with, up to the next event or to the first delivery
// that a replay made of another one.
func (s *deliverySearch) behind(c *conn, event int64) (way, error) {
	end, err := ownEnd(c, event)
	return way{from: "delivery d NOT INDEXED", key: "d.number", few: true, narrow: func(l *list, _ numbers) { // but for its number
		l.where("d.number > ?", event)
		l.where("d.number < ?", end)
	}}, err
}

// ownEnd gives the number before which the deliveries stand that an event was
// accepted with.
func ownEnd(c *conn, event int64) (end int64, err error) {
	end = allNumbers().below
	_, err = c.query(`SELECT coalesce(min(number), ?2) FROM event WHERE number > ?1`).int(event).int(end).one(func(q *query) { end = q.getInt() })
	if err != nil {
		return 0, err
	}
	_, err = c.query(`SELECT number FROM delivery WHERE number > ?1 AND number < ?2 AND (event <> ?1 OR replay IS NOT NULL) ORDER BY number LIMIT 1`).
		int(event).int(end).one(func(q *query) { end = q.getInt() })
	return end, err
}

// ofMatches reads the deliveries of every event that matches. The digests know
// events, and the deliveries that replays made, by their own numbers.
func (s *deliverySearch) ofMatches(c *conn) error {
	numbered := s.within
	// The first event of the numbers may stand before them.
	if _, err := c.query(`SELECT coalesce(max(number), 1) - 1 FROM event WHERE number <= ?`).int(s.within.above).one(func(q *query) { numbered.above = q.getInt() }); err != nil {
		return err
	}
	upwards := nearest(s.page)
	goOn := func(last int64) bool {
		_, rest := s.within.splitAt(last, upwards)
		return rest.empty() || rest == s.within || s.goOn(rest) // it may begin before the numbers
	}
	return s.tail.search(c, s.id, s.filter.Match, numbered, upwards, goOn, func(number int64) (bool, error) {
		w, found, err := s.matching(c, number)
		if err == nil && found {
			err = s.read(c, s.within, w)
		}
		return s.wantsMore(), err
	})
}

// matching is the way to the deliveries of an event that matches, or to the
// one that a replay made of such an event.
func (s *deliverySearch) matching(c *conn, number int64) (w way, found bool, err error) {
	found, err = c.query(`SELECT 1 FROM event e WHERE e.number = ? AND e.project = ? AND ? IN (e.user_id, e.email, e.message_id)`).
		int(number).int(s.project.number).text(s.filter.Match).one(func(*query) {})
	if err != nil || found {
		if err == nil {
			w, err = s.behind(c, number)
		}
		return w, found, err
	}
	found, err = c.query(`SELECT 1 FROM delivery d CROSS JOIN event e ON e.number = d.event
		WHERE d.number = ? AND d.replay IS NOT NULL AND e.project = ? AND ? IN (e.user_id, e.email, e.message_id)`).
		int(number).int(s.project.number).text(s.filter.Match).one(func(*query) {})
	return way{from: "delivery d NOT INDEXED", key: "d.number", few: true, narrow: func(l *list, _ numbers) { l.where("d.number = ?", number) }}, found, err
}

// wantsMore reports whether to look for another event that matches.
func (s *deliverySearch) wantsMore() bool {
	if s.count != nil {
		s.count.looked += countMatch
		return s.count.more()
	}
	return len(s.found) < pageLimit(s.page)
}
