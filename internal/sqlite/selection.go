package sqlite

import (
	"cmp"
	"math"
	"slices"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// A selection is a [telltale.Selection] with what the engine knows of it. To
// walk through it is to read; whoever walks decides what a transaction is, and
// keeps the place.
//
// Where only the deliveries that failed, or that are held or cancelled, make a
// difference, the walk goes through the index of what has not succeeded, so
// that a handful is found among millions. Else it goes through the events.
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
	code     int64
	test     bool
	received int64 // ms
	print    fingerprint
	target   *webhook
	place    place // behind it
}

// selectionEvent is what a walk reads of an event.
type selectionEvent struct {
	number, code int64
	test         bool
	machine      bool
	received     int64 // ms
	print        fingerprint
}

// walk looks on from the place, at no more than some number of rows, and
// stops when take wants no more picks. done reports that there are none left.
func (s *selection) walk(c *conn, from place, most int, take func(pick) (more bool)) (to place, done bool, err error) {
	if s.target != nil && s.target.now.Load().Deleted {
		return from, true, nil
	}
	if s.chosen != nil {
		return s.walkChosen(c, from, most, take)
	}
	if s.target == nil && s.webhook != nil && s.webhook.now.Load().Deleted {
		return from, true, nil
	}
	lag, err := loadLag(c)
	if err != nil {
		return from, false, err
	}
	within := numbers{above: from.event, below: s.last + 1}
	if from.webhook != math.MaxInt64 {
		within.above-- // it is not through
	}
	within.cut(lag.receivedWithin(stored.MilliTime(s.since), stored.MilliTime(s.until)))
	candidates, upTo, err := s.candidates(c, within, most)
	if err != nil {
		return from, false, err
	}
	to = from
	for _, number := range candidates {
		after := int64(0)
		if number == from.event {
			after = from.webhook
		}
		more, reached, err := s.pickEvent(c, number, after, take)
		if err != nil {
			return from, false, err
		}
		if !more {
			return reached, false, nil
		}
		to = placeBehind(number)
	}
	if upTo == math.MaxInt64 {
		return to, true, nil
	}
	return placeBehind(max(upTo, to.event)), false, nil
}

// candidates gives events that may be sent, in order: all up to upTo, which is
// without end if there are no others.
func (s *selection) candidates(c *conn, within numbers, most int) (events []int64, upTo int64, err error) {
	switch {
	case within.empty():
		return nil, math.MaxInt64, nil
	case s.which == telltale.WhichFailed:
		return s.unsettled(c, within, most, stored.StateFailed)
	case s.which == telltale.WhichHeld:
		return s.unsettled(c, within, most, stored.StateWaiting, stored.StateCancelled)
	}
	types := s.types
	if types == 0 {
		for _, w := range s.goals() {
			types |= w.now.Load().Events
		}
	}
	q := c.query(`SELECT e.number, e.project = ? AND e.test = 0 AND (? >> e.type) & 1 FROM span s CROSS JOIN event e
		WHERE s.owner = ? AND s.span >= ? AND s.span <= ? AND s.types & ? <> 0 AND e.number >= (s.span << 20) AND e.number < ((s.span + 1) << 20)
		AND e.number > ? AND e.number < ? ORDER BY s.span, e.number LIMIT ?`).
		int(s.project.number).int(int64(types)).int(int64(s.project.owner())).int(spanOf(within.above)).int(spanOf(within.below)).int(int64(types)).
		int(within.above).int(within.below).int(int64(most))
	looked, upTo := 0, int64(math.MaxInt64)
	err = q.each(func(q *query) error {
		number, ours := q.getInt(), q.getBool()
		if ours {
			events = append(events, number)
		}
		if looked++; looked == most {
			upTo = number
		}
		return nil
	})
	return events, upTo, err
}

// unsettled gives the events that have a delivery in one of the states.
func (s *selection) unsettled(c *conn, within numbers, most int, states ...int64) (events []int64, upTo int64, err error) {
	upTo = math.MaxInt64
	for _, state := range states {
		end, err := s.unsettledOwn(c, within, most, state, &events)
		if err != nil {
			return nil, 0, err
		}
		upTo = min(upTo, end)
	}
	end, err := s.replayed(c, within, most, states, &events)
	if err != nil {
		return nil, 0, err
	}
	upTo = min(upTo, end)
	slices.Sort(events)
	events = slices.Compact(events)
	past, _ := slices.BinarySearch(events, upTo+1)
	if upTo == math.MaxInt64 {
		past = len(events)
	}
	return events[:past], upTo, nil
}

// unsettledOwn looks at deliveries that events were accepted with, which stand
// in the order of the events.
func (s *selection) unsettledOwn(c *conn, within numbers, most int, state int64, events *[]int64) (upTo int64, err error) {
	q := c.query(`SELECT d.number, d.event, d.webhook, d.replay IS NULL FROM delivery d INDEXED BY delivery_unsettled
		WHERE d.state = ? AND d.state <> 4 AND d.project = ? AND d.number > ? ORDER BY d.number LIMIT ?`).
		int(state).int(s.project.number).int(within.above).int(int64(most))
	for looked := 1; ; looked++ {
		row, err := q.next()
		if err != nil || !row {
			return math.MaxInt64, err
		}
		number, event, webhook, own := q.getInt(), q.getInt(), q.getInt(), q.getBool()
		if own && event >= within.below {
			q.done()
			return math.MaxInt64, nil
		}
		if own && event > within.above && s.mayPick(state, webhook) {
			*events = append(*events, event)
		}
		if looked == most {
			q.done()
			if own {
				return event, nil
			}
			return number, nil // no event before it has its first delivery behind it
		}
	}
}

// replayed looks at deliveries that replays made, of whatever project, by event.
func (s *selection) replayed(c *conn, within numbers, most int, states []int64, events *[]int64) (upTo int64, err error) {
	looked, upTo := 0, int64(math.MaxInt64)
	err = c.query(`SELECT d.event, d.project, d.state, d.webhook FROM delivery d INDEXED BY delivery_replayed
		WHERE d.replay IS NOT NULL AND d.event > ? AND d.event < ? ORDER BY d.event, d.number LIMIT ?`).
		int(within.above).int(within.below).int(int64(most)).each(func(q *query) error {
		event, project, state, webhook := q.getInt(), q.getInt(), q.getInt(), q.getInt()
		looked++
		if looked == most {
			upTo = event // its other deliveries were not seen: whoever picks looks at all
		}
		if project == s.project.number && (looked == most || slices.Contains(states, state) && s.mayPick(state, webhook)) {
			*events = append(*events, event)
		}
		return nil
	})
	return upTo, err
}

// mayPick passes over what is asked about for another webhook, and what waits
// and will be sent by itself.
func (s *selection) mayPick(state, number int64) bool {
	w := s.known.webhookByNumber(number)
	if asked := s.asked(); asked != nil && asked != w {
		return false
	}
	now := w.now.Load()
	return state != stored.StateWaiting || now.Deleted || !now.Enabled
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
	each := s.known.liveWebhooks(s.project)
	each = slices.DeleteFunc(each, func(w *webhook) bool { return stored.TimeMilli(w.now.Load().CreatedAt) > s.made })
	slices.SortFunc(each, func(a, b *webhook) int { return cmp.Compare(a.number, b.number) })
	return each
}

// pickEvent offers what is to be made of an event, for the webhooks whose
// number is greater.
func (s *selection) pickEvent(c *conn, number, after int64, take func(pick) bool) (more bool, reached place, err error) {
	reached = place{number, after}
	e, found, err := s.event(c, number)
	if err != nil || !found || e.test || s.since != 0 && e.received < s.since || s.until != 0 && e.received >= s.until {
		return err == nil, reached, err
	}
	var last map[int64]telltale.State
	for _, goal := range s.goals() {
		if goal.number <= after || !s.sends(e, goal) {
			continue
		}
		operational := s.types == 0 && stored.EventTypes[e.code].Operational()
		if s.which != telltale.WhichAll || operational {
			if last == nil {
				if last, err = s.lastStates(c, number); err != nil {
					return false, reached, err
				}
			}
			asked := goal
			if s.webhook != nil {
				asked = s.webhook
			}
			state := last[asked.number]
			if !s.which.Picks(state) || operational && state == "" {
				continue
			}
		}
		reached.webhook = goal.number
		if !take(pick{e.number, e.code, e.test, e.received, e.print, goal, reached}) {
			return false, reached, nil
		}
	}
	return true, reached, nil
}

// sends reports whether the event goes to the webhook.
func (s *selection) sends(e selectionEvent, w *webhook) bool {
	t := stored.EventTypes[e.code]
	wants := w.now.Load().Covers(t, e.machine)
	if s.types == 0 {
		return wants
	}
	named := s.target != nil || s.webhook != nil
	return s.types.Has(t) && (wants || named)
}

func (s *selection) event(c *conn, number int64) (e selectionEvent, found bool, err error) {
	found, err = c.query(`SELECT type, test, coalesce(machine, 0), lag, user_id, email, message_id FROM event WHERE number = ? AND project = ?`).int(number).int(s.project.number).
		one(func(q *query) {
			e = selectionEvent{number: number, code: q.getInt(), test: q.getBool(), machine: q.getBool(), received: stored.NumberMilli(number) - q.getInt()}
			e.print = eventFingerprint(s.project.now.Load().ID, &telltale.Event{UserID: q.getText(), Email: q.getText(), MessageID: q.getText()})
		})
	return e, found, err
}

// lastStates gives, by webhook, the state of the event's last delivery as it
// is shown.
func (s *selection) lastStates(c *conn, event int64) (map[int64]telltale.State, error) {
	last := map[int64]telltale.State{}
	err := eachDelivery(c, event, func(d eventDelivery) {
		last[d.webhook] = stored.ShownState(d.state, s.known.webhookByNumber(d.webhook).now.Load().Webhook)
	})
	return last, err
}

// eventDelivery is what an event's deliveries are looked at for.
type eventDelivery struct{ number, lastAttempt, state, webhook int64 }

// eachDelivery gives the deliveries of an event by their number: those that it
// was accepted with, which stand right behind it, and those that replays made.
func eachDelivery(c *conn, event int64, scan func(eventDelivery)) error {
	read := func(q *query) eventDelivery { return eventDelivery{q.getInt(), q.getInt(), q.getInt(), q.getInt()} }
	q := c.query(`SELECT number, last_attempt, state, webhook, event, replay IS NOT NULL FROM delivery WHERE number > ? ORDER BY number`).int(event)
	for {
		row, err := q.next()
		if err != nil {
			return err
		}
		if !row {
			break
		}
		d := read(q)
		if q.getInt() != event || q.getBool() {
			q.done()
			break
		}
		scan(d)
	}
	return c.query(`SELECT number, last_attempt, state, webhook FROM delivery INDEXED BY delivery_replayed WHERE replay IS NOT NULL AND event = ? ORDER BY number`).
		int(event).each(func(q *query) error {
		scan(read(q))
		return nil
	})
}

// walkChosen goes through deliveries that were named one by one.
func (s *selection) walkChosen(c *conn, from place, most int, take func(pick) bool) (to place, done bool, err error) {
	for i := from.event; i < int64(len(s.chosen)); i++ {
		if i-from.event >= int64(most) {
			return place{event: i}, false, nil
		}
		var event int64
		var owed *webhook
		found, err := c.query(`SELECT event, webhook FROM delivery WHERE number = ?`).int(s.chosen[i]).one(func(q *query) {
			event, owed = q.getInt(), s.known.webhookByNumber(q.getInt())
		})
		if err != nil {
			return from, false, err
		}
		goal := s.target
		if goal == nil {
			goal = owed
		}
		if !found || goal.now.Load().Deleted {
			continue
		}
		e, found, err := s.event(c, event)
		if err != nil {
			return from, false, err
		}
		if reached := (place{event: i + 1}); found && !take(pick{e.number, e.code, e.test, e.received, e.print, goal, reached}) {
			return reached, false, nil
		}
	}
	return place{event: int64(len(s.chosen))}, true, nil
}

// choose reads deliveries of the project that are named by their ids, and
// gives their numbers by event, each event once for each webhook that it goes to.
func (s *selection) choose(c *conn, ids stored.IDs, wanted []telltale.DeliveryID) error {
	type chosen struct{ event, number, goal int64 }
	all := make([]chosen, 0, len(wanted))
	for _, id := range wanted {
		number, known := ids.OfDelivery(id)
		d := chosen{number: number}
		found, err := c.query(`SELECT event, webhook FROM delivery WHERE number = ? AND project = ?`).int(number).int(s.project.number).one(func(q *query) {
			d.event, d.goal = q.getInt(), q.getInt()
		})
		if err != nil {
			return err
		}
		if !known || !found {
			return notFound("delivery")
		}
		if s.target != nil {
			d.goal = s.target.number
		}
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b chosen) int { return cmp.Or(cmp.Compare(a.event, b.event), cmp.Compare(a.number, b.number)) })
	seen := map[chosen]bool{}
	s.chosen = []int64{}
	for _, d := range all {
		if key := (chosen{event: d.event, goal: d.goal}); !seen[key] {
			seen[key] = true
			s.chosen = append(s.chosen, d.number)
		}
	}
	return nil
}
