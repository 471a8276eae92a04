package postgres

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// A selection is a [telltale.Selection] with what the engine knows of it. To
// walk through it is to read; whoever walks decides what a transaction is, and
// keeps the place.
//
// Where only the deliveries that failed, or that are held or cancelled, make a
// difference, the walk goes through these, by their events, so that a handful is
// found among millions. Else it goes through the events.
type selection struct {
	known   *registry
	project *project
	target  *webhook // nil: events go to the webhook that each was owed to
	webhook *webhook // whose deliveries are asked about; nil: the target's, or each one's
	made    int64    // ms; webhooks that were made later are not among "each"
	which   telltale.Which
	types   telltale.EventTypeSet // 0: what the target wants
	since   int64                 // ms of receipt, 0 for no bound
	until   int64                 // likewise
	last    int64                 // number: no event behind it, whatever until says
	chosen  []int64               // numbers of deliveries, by event; nil: all events that match
}

// place is how far a walk came: to this event, of which all webhooks up to
// this one were seen to. Among chosen deliveries event counts them.
type place struct{ event, webhook int64 }

func placeBehind(event int64) place { return place{event, math.MaxInt64} }

// A pick is a delivery that is to be made.
type pick struct {
	event    int64
	code     int64 // of its type
	test     bool
	received int64 // ms
	target   *webhook
	place    place // behind it
}

// selectionEvent is what a walk reads of an event.
type selectionEvent struct {
	number, code  int64
	test, machine bool
	received      int64                    // ms
	last          map[int64]telltale.State // of its last delivery to each webhook, as it is shown
}

const (
	// firstStep is how many rows a walk looks at first. It looks at twice as many
	// each time, so that a few are picked soon, and many not one by one.
	firstStep = 50
	// clockSkew is by how much a node's clock, which says when an event was
	// received, may be ahead of the database's, which gives the event its number.
	clockSkew = time.Hour
	// acceptedWithin is longer than it takes to accept an event with its deliveries.
	acceptedWithin = time.Minute
)

// walk looks on from the place, at no more than some number of rows, and
// stops when take wants no more picks. done reports that there are none left.
func (s *selection) walk(ctx context.Context, q querier, from place, most int, take func(pick) (more bool)) (to place, done bool, err error) {
	switch {
	case s.target != nil && s.target.now().Deleted:
		return from, true, nil
	case s.chosen != nil:
		return s.walkChosen(ctx, q, from, most, take)
	case s.target == nil && s.webhook != nil && s.webhook.now().Deleted:
		return from, true, nil
	}
	within := numbers{above: from.event, below: s.last + 1}
	if from.webhook != math.MaxInt64 {
		within.above-- // it is not through
	}
	if s.since != 0 {
		within.above = max(within.above, (s.since-clockSkew.Milliseconds())<<stored.NumberBits-1)
	}
	to = from
	for looked, step := 0, min(firstStep, most); looked < most; looked, step = looked+step, min(2*step, most) {
		candidates, upTo, err := s.candidates(ctx, q, within, step)
		if err != nil {
			return from, false, err
		}
		events, err := s.events(ctx, q, candidates)
		if err != nil {
			return from, false, err
		}
		for i := range events {
			after := int64(0)
			if events[i].number == from.event {
				after = from.webhook
			}
			if more, reached := s.pickEvent(&events[i], after, take); !more {
				return reached, false, nil
			}
			to = placeBehind(events[i].number)
		}
		if upTo == math.MaxInt64 {
			return to, true, nil
		}
		to = placeBehind(max(upTo, to.event))
		within.above = to.event
	}
	return to, false, nil
}

// candidates gives events that may be sent, in order: all up to upTo, which is
// without end if there are no others.
func (s *selection) candidates(ctx context.Context, q querier, within numbers, most int) (events []int64, upTo int64, err error) {
	if within.empty() {
		return nil, math.MaxInt64, nil
	}
	switch s.which {
	case telltale.WhichFailed:
		return s.finished(ctx, q, within, most, stored.StateFailed)
	case telltale.WhichHeld:
		cancelled, first, err := s.finished(ctx, q, within, most, stored.StateCancelled)
		if err != nil {
			return nil, 0, err
		}
		held, second, err := s.held(ctx, q, within, most)
		if err != nil {
			return nil, 0, err
		}
		events, upTo = append(cancelled, held...), min(first, second)
		slices.Sort(events)
		events = slices.Compact(events)
		return slices.DeleteFunc(events, func(number int64) bool { return number > upTo }), upTo, nil
	}
	types := s.types
	if types == 0 {
		for _, w := range s.goals() {
			types |= w.now().Events
		}
	}
	return look(ctx, q, most, `SELECT number, NOT test AND $1::bigint >> type & 1 = 1 AND received_at >= $2 AND ($3::bigint = 0 OR received_at < $3)
		FROM event WHERE project = $4 AND number > $5 AND number < $6 ORDER BY number LIMIT $7`,
		int64(types), s.since, s.until, s.project.number, within.above, within.below, most)
}

// finished looks at deliveries that ended in the state.
func (s *selection) finished(ctx context.Context, q querier, within numbers, most int, state int64) (events []int64, upTo int64, err error) {
	return look(ctx, q, most, `SELECT event, $1::bigint = 0 OR webhook = $1 FROM delivery_done
		WHERE project = $2 AND state = $3 AND state <> 4 AND event > $4 AND event < $5 AND number > $4 ORDER BY event LIMIT $6`,
		webhookNumber(s.asked()), s.project.number, state, within.above, within.below, most)
}

// held looks at deliveries that wait, and will not be sent by themselves.
func (s *selection) held(ctx context.Context, q querier, within numbers, most int) (events []int64, upTo int64, err error) {
	var off []int64 // webhooks
	for _, w := range s.known.allByNumb {
		asked := s.asked()
		if now := w.now(); w.project == s.project.number && (asked == nil || asked.number == w.number) && (now.Deleted || !now.Enabled) {
			off = append(off, w.number)
		}
	}
	if len(off) == 0 {
		return nil, math.MaxInt64, nil
	}
	return look(ctx, q, most, `SELECT event, state = 2 AND webhook = ANY($1::integer[]) FROM delivery WHERE event > $2 AND event < $3 ORDER BY event LIMIT $4`,
		off, within.above, within.below, most)
}

// look gives the events of the rows that pass, and how far the rows go: without
// end if there are no more. An event may have other rows behind the last one, so
// it passes then: whoever picks looks at all.
func look(ctx context.Context, q querier, most int, sql string, args ...any) (events []int64, upTo int64, err error) {
	looked, upTo := 0, int64(math.MaxInt64)
	var event int64
	var passes bool
	err = each(ctx, q, sql, args, []any{&event, &passes}, func() error {
		if looked++; looked == most {
			upTo = event
		}
		if (passes || looked == most) && (len(events) == 0 || events[len(events)-1] != event) {
			events = append(events, event)
		}
		return nil
	})
	return events, upTo, err
}

// asked gives the webhook whose deliveries are asked about; nil for each one.
func (s *selection) asked() *webhook {
	if s.webhook != nil {
		return s.webhook
	}
	return s.target
}

// goals gives the webhooks that events may go to, by number.
func (s *selection) goals() []*webhook {
	switch {
	case s.target != nil:
		return []*webhook{s.target}
	case s.webhook != nil:
		return []*webhook{s.webhook}
	}
	all := slices.DeleteFunc(slices.Clone(s.project.live), func(w *webhook) bool { return stored.TimeMilli(w.now().CreatedAt) > s.made })
	slices.SortFunc(all, func(a, b *webhook) int { return cmp.Compare(a.number, b.number) })
	return all
}

// events reads those of the candidates that may be sent, with what became of them
// if that makes a difference.
func (s *selection) events(ctx context.Context, q querier, candidates []int64) ([]selectionEvent, error) {
	if len(candidates) == 0 {
		return nil, nil
	}
	first, last := candidates[0], candidates[len(candidates)-1]
	var events []selectionEvent
	place := map[int64]int{}
	var e selectionEvent
	tells := s.which != telltale.WhichAll
	err := each(ctx, q, `SELECT number, type, coalesce(machine, false), received_at FROM event
		WHERE number = ANY($1::bigint[]) AND number BETWEEN $2 AND $3 AND project = $4 AND NOT test AND received_at >= $5 AND ($6::bigint = 0 OR received_at < $6) ORDER BY number`,
		[]any{candidates, first, last, s.project.number, s.since, s.until}, []any{&e.number, &e.code, &e.machine, &e.received}, func() error {
			e.last = map[int64]telltale.State{}
			place[e.number] = len(events)
			events = append(events, e)
			tells = tells || s.operational(&e)
			return nil
		})
	if err != nil || !tells || len(events) == 0 {
		return events, err
	}
	return events, s.lastStates(ctx, q, events, place)
}

// lastStates reads what became of events. Those of a project lie close together,
// and so do the deliveries that they were accepted with; deliveries that replays
// made lie anywhere behind them.
func (s *selection) lastStates(ctx context.Context, q querier, events []selectionEvent, place map[int64]int) error {
	numbers := make([]int64, len(events))
	for i := range events {
		numbers[i] = events[i].number
	}
	first, last := numbers[0], numbers[len(numbers)-1]
	replayed := `event BETWEEN $2 AND $3`
	if s.which == telltale.WhichFailed || s.which == telltale.WhichHeld { // then events lie far apart
		replayed += ` AND event = ANY($1::bigint[])`
	}
	var event, webhook, state, number int64
	return each(ctx, q, `SELECT event, webhook, state, number FROM delivery WHERE event = ANY($1::bigint[])
		UNION ALL SELECT event, webhook, state, number FROM delivery_done WHERE event = ANY($1::bigint[]) AND number > $2 AND number < $4
		UNION ALL SELECT event, webhook, state, number FROM delivery_done WHERE replay IS NOT NULL AND project = $5 AND `+replayed+` AND number > $2 ORDER BY number`,
		[]any{numbers, first, last, last + acceptedWithin.Milliseconds()<<stored.NumberBits, s.project.number}, []any{&event, &webhook, &state, &number}, func() error {
			i, ours := place[event]
			if w := s.known.hooks[webhook]; ours && w != nil {
				events[i].last[webhook] = stored.ShownState(state, w.now())
			}
			return nil
		})
}

// operational reports whether the event is one of Telltale's own that nobody named.
func (s *selection) operational(e *selectionEvent) bool {
	return s.types == 0 && stored.EventTypes[e.code].Operational()
}

// pickEvent offers what is to be made of an event, for the webhooks whose
// number is greater.
func (s *selection) pickEvent(e *selectionEvent, after int64, take func(pick) bool) (more bool, reached place) {
	reached = place{e.number, after}
	for _, goal := range s.goals() {
		if goal.number <= after || !s.sends(e, goal) {
			continue
		}
		if operational := s.operational(e); s.which != telltale.WhichAll || operational {
			asked := goal
			if s.webhook != nil {
				asked = s.webhook
			}
			state := e.last[asked.number]
			if !s.which.Picks(state) || operational && state == "" {
				continue
			}
		}
		reached.webhook = goal.number
		if !take(pick{e.number, e.code, e.test, e.received, goal, reached}) {
			return false, reached
		}
	}
	return true, reached
}

// sends reports whether the event goes to the webhook.
func (s *selection) sends(e *selectionEvent, w *webhook) bool {
	t := stored.EventTypes[e.code]
	wants := w.now().Covers(t, e.machine)
	if s.types == 0 {
		return wants
	}
	named := s.target != nil || s.webhook != nil
	return s.types.Has(t) && (wants || named)
}

// walkChosen goes through deliveries that were named one by one.
func (s *selection) walkChosen(ctx context.Context, q querier, from place, most int, take func(pick) bool) (to place, done bool, err error) {
	rest := s.chosen[min(from.event, int64(len(s.chosen))):]
	part := rest[:min(len(rest), most)]
	type owed struct {
		event selectionEvent
		goal  *webhook
	}
	found := map[int64]owed{}
	var number, webhook int64
	var e selectionEvent
	err = each(ctx, q, `SELECT d.number, d.webhook, e.number, e.type, e.test, e.received_at FROM delivery_all d JOIN event e ON e.number = d.event
		WHERE d.number = ANY($1::bigint[]) AND e.project = $2`, []any{part, s.project.number}, []any{&number, &webhook, &e.number, &e.code, &e.test, &e.received}, func() error {
		goal := s.target
		if goal == nil {
			goal = s.known.hooks[webhook]
		}
		if goal != nil && !goal.now().Deleted {
			found[number] = owed{e, goal}
		}
		return nil
	})
	if err != nil {
		return from, false, err
	}
	for i, number := range part {
		o, ok := found[number]
		if reached := (place{event: from.event + int64(i) + 1}); ok && !take(pick{o.event.number, o.event.code, o.event.test, o.event.received, o.goal, reached}) {
			return reached, false, nil
		}
	}
	return place{event: from.event + int64(len(part))}, len(part) == len(rest), nil
}

// choose reads deliveries of the project that are named by their ids, and
// gives their numbers by event, each event once for each webhook that it goes to.
func (s *selection) choose(ctx context.Context, q querier, ids stored.IDs, wanted []telltale.DeliveryID) error {
	numbers := make([]int64, len(wanted))
	for i, id := range wanted {
		var known bool
		if numbers[i], known = ids.OfDelivery(id); !known {
			return notFound("delivery")
		}
	}
	slices.Sort(numbers)
	numbers = slices.Compact(numbers)
	type chosen struct{ event, number, goal int64 }
	var all []chosen
	var d chosen
	err := each(ctx, q, `SELECT event, number, webhook FROM delivery_all WHERE number = ANY($1::bigint[]) AND project = $2 ORDER BY event, number`,
		[]any{numbers, s.project.number}, []any{&d.event, &d.number, &d.goal}, func() error {
			all = append(all, d)
			return nil
		})
	if err != nil {
		return err
	}
	if len(all) < len(numbers) {
		return notFound("delivery")
	}
	seen := map[chosen]bool{}
	s.chosen = []int64{}
	for _, d := range all {
		if s.target != nil {
			d.goal = s.target.number
		}
		if key := (chosen{event: d.event, goal: d.goal}); !seen[key] {
			seen[key] = true
			s.chosen = append(s.chosen, d.number)
		}
	}
	return nil
}
