package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// ChangeUsers holds the rows of its users while it decides: see held.go.
func (s *Store) ChangeUsers(ctx context.Context, c telltale.UserChanges) (telltale.UserChanged, error) {
	if err := s.down(); err != nil {
		return telltale.UserChanged{}, err
	}
	call := s.newChanging(&c)
	leave, err := s.crowds.enter(ctx, &call.held.wanted)
	if err != nil {
		return telltale.UserChanged{}, s.explain("changing users", err)
	}
	defer leave()
	if err := s.transact(ctx, call.transaction()); err != nil {
		return telltale.UserChanged{}, err
	}
	return call.changed, nil
}

// changing is a call of ChangeUsers.
type changing struct {
	*telltale.UserChanges
	project int64 // 0 if the node did not know it when the call came
	held    heldUsers
	changed telltale.UserChanged

	keys  []repeatKey        // by which repetitions may be known, as far as it can be said ahead
	known map[repeatKey]bool // whether they are
	names []string           // of what users did, as goals are compared
	goals map[string]bool    // those of them that are a message's own goal
	many  bool               // there are so many of those that each may be one
}

func (s *Store) newChanging(c *telltale.UserChanges) *changing {
	call := &changing{UserChanges: c}
	p := s.known.Load().project(c.ProjectID)
	if p != nil {
		call.want(p)
	}
	return call
}

// want gathers whom, and what, the changes ask for.
func (c *changing) want(p *project) {
	c.project = p.number
	told := 0 // numbers for what tells of a change
	for code := range stored.EventTypes {
		told = max(told, 1+len(p.wanting(int64(code))))
	}
	for i := range c.Changes {
		change := &c.Changes[i]
		c.held.wanted.add(p.number, refID(change.User), change.User.Email)
		c.held.numbers += 1 + told
		switch change.Kind {
		case telltale.ChangeReidentify:
			c.held.wanted.add(p.number, refID(telltale.UserRef{ID: change.NewID}), "")
		case telltale.ChangeTrack:
			c.held.numbers++
			if c.RepeatWindow > 0 {
				c.keys = append(c.keys, newRepeatKey(c.ProjectID, change, nil))
			}
			if !c.NoConversions {
				c.names = append(c.names, clean(telltale.EventName(change.Event.Name)))
			}
		}
	}
}

// transaction reads all that the changes ask for in the round trip that begins it.
func (c *changing) transaction() transaction {
	return transaction{name: "changing users", do: c.run, first: func(b *pgx.Batch) {
		if c.project != 0 {
			c.begin(b)
		}
	}}
}

func (c *changing) begin(b *pgx.Batch) {
	c.known, c.goals, c.many = map[repeatKey]bool{}, map[string]bool{}, false
	c.held.begin(b)
	c.queueRepetitions(b, c.keys)
	if len(c.names) == 0 {
		return
	}
	b.Queue(`SELECT event FROM own_goal WHERE project = $1 AND event = ANY($2)`, c.project, c.names).Query(func(rows pgx.Rows) error {
		var goal string
		_, err := pgx.ForEachRow(rows, []any{&goal}, func() error { c.goals[goal] = true; return nil })
		return err
	})
	b.Queue(`SELECT count(*) >= $2 FROM (SELECT 1 FROM own_goal WHERE project = $1 LIMIT $2) g`, c.project, maxOwnGoals).QueryRow(func(row pgx.Row) error { return row.Scan(&c.many) })
}

// queueRepetitions finds out which events are known. Whoever notes one holds its
// user, so that what is read behind that stays so.
func (c *changing) queueRepetitions(b *pgx.Batch, keys []repeatKey) {
	if len(keys) == 0 {
		return
	}
	list := make([][]byte, len(keys))
	for i := range keys {
		list[i] = keys[i][:]
		c.known[keys[i]] = false
	}
	b.Queue(`SELECT key FROM repetition WHERE key = ANY($1::bytea[]) AND expires_at > telltale_now()`, list).Query(func(rows pgx.Rows) error {
		var key []byte
		_, err := pgx.ForEachRow(rows, []any{&key}, func() error { c.known[repeatKey(key)] = true; return nil })
		return err
	})
}

// run decides change by change, accepts the events that come of them, and notes
// how far the import is whose rows they are.
func (c *changing) run(tx *tx) error {
	c.changed = telltale.UserChanged{Results: make([]telltale.UserResult, len(c.Changes))}
	p := tx.known.project(c.ProjectID)
	if p == nil {
		return notFound("project")
	}
	if c.project == 0 { // it is known only now
		c.want(p)
		b := &pgx.Batch{}
		c.begin(b)
		if err := tx.conn.SendBatch(tx.ctx, b).Close(); err != nil {
			return err
		}
	}
	var job importRow
	var err error
	if c.Import != nil {
		if job, err = tx.beginImport(c.ProjectID, c.Import); err != nil {
			return err
		}
	}
	if !c.held.isHeld() {
		clear(c.known) // what was read of repetitions was read too early
	}
	if err := tx.hold(&c.held); err != nil {
		return err
	}
	if err := c.findRepetitions(tx); err != nil {
		return err
	}
	tells := make([]told, len(c.Changes))
	var conversions []conversion
	for i := range c.Changes {
		did, err := c.change(tx, p, i, &tells[i])
		if err != nil {
			return fmt.Errorf("change %d, %s: %w", i, c.Changes[i].Kind, err)
		}
		if did != nil {
			conversions = append(conversions, *did)
		}
	}
	if err := tx.convert(p, c.UserChanges, conversions); err != nil {
		return err
	}
	for _, one := range conversions {
		if one.converted != nil {
			if err := tells[one.change].add(c.ProjectID, one.converted); err != nil {
				return err
			}
		}
	}
	if err := tx.storeUsers(&c.held); err != nil {
		return err
	}
	if err := c.tell(tx, p, tells); err != nil || c.Import == nil {
		return err
	}
	return tx.noteImport(job, c.Import, c.changed.Results)
}

// findRepetitions looks for those whose keys could not be said ahead, since their
// users were found by email.
func (c *changing) findRepetitions(tx *tx) error {
	if c.RepeatWindow <= 0 {
		return nil
	}
	var missing []repeatKey
	for i := range c.Changes {
		change := &c.Changes[i]
		if change.Kind != telltale.ChangeTrack {
			continue
		}
		key := newRepeatKey(c.ProjectID, change, c.held.find(c.project, refID(change.User), change.User.Email))
		if _, asked := c.known[key]; !asked {
			missing = append(missing, key)
		}
	}
	return c.lookForRepetitions(tx, missing)
}

func (c *changing) lookForRepetitions(tx *tx, keys []repeatKey) error {
	if len(keys) == 0 {
		return nil
	}
	b := &pgx.Batch{}
	c.queueRepetitions(b, keys)
	if err := tx.conn.SendBatch(tx.ctx, b).Close(); err != nil {
		return fmt.Errorf("looking for repetitions: %w", err)
	}
	return nil
}

// change decides one change and makes the users what it comes to, with the events
// that tell of it. What may convert a message is given.
func (c *changing) change(tx *tx, p *project, i int, tells *told) (*conversion, error) {
	change, result := &c.Changes[i], &c.changed.Results[i]
	found, err := tx.findHeld(&c.held, p.number, refID(change.User), change.User.Email)
	if err != nil {
		return nil, err
	}
	var other *user
	var repeat repeatKey
	switch change.Kind {
	case telltale.ChangeReidentify:
		other = c.held.find(p.number, refID(telltale.UserRef{ID: change.NewID}), "")
	case telltale.ChangeTrack:
		repeat = newRepeatKey(c.ProjectID, change, found)
		if result.Repeated, err = c.repeats(tx, repeat); err != nil || result.Repeated {
			return nil, err
		}
	}
	d, err := tx.decide(c.UserChanges, change, found, other)
	if err != nil || d.err != nil {
		result.Err = d.err
		return nil, err
	}
	u, err := tx.apply(&c.held, p, found, other, d.effect)
	if err != nil {
		return nil, err
	}
	result.Created = found == nil && u != nil
	*tells = d.told
	if change.Kind != telltale.ChangeTrack {
		return nil, nil
	}
	e, err := tx.track(&c.held, u, change.Event, repeat, c.RepeatWindow)
	if err != nil {
		return nil, err
	}
	if c.RepeatWindow > 0 {
		c.known[repeat] = true
	}
	if c.NoConversions || !c.mayConvert(p, e.Name) {
		return nil, nil
	}
	return &conversion{change: i, profile: u.now, event: e}, nil
}

// repeats reports whether an event with that key is known.
func (c *changing) repeats(tx *tx, key repeatKey) (bool, error) {
	if c.RepeatWindow <= 0 {
		return false, nil
	}
	if _, asked := c.known[key]; !asked { // the user got another id in this call
		if err := c.lookForRepetitions(tx, []repeatKey{key}); err != nil {
			return false, err
		}
	}
	return c.known[key], nil
}

// mayConvert reports whether the event may be the goal of any message.
func (c *changing) mayConvert(p *project, event string) bool {
	goal := telltale.EventName(event)
	_, set := p.goals.names[goal]
	return set || c.many || c.goals[clean(goal)]
}

// apply makes the users what a change comes to, and gives the user as they are
// then; nil if there is none.
func (tx *tx) apply(h *heldUsers, p *project, found, other *user, effect telltale.Effect) (*user, error) {
	switch {
	case effect.Remove && effect.Profile == nil:
		h.remove(found, nil)
		return nil, nil
	case effect.Remove: // found goes into other
		h.remove(found, other)
		h.change(other, effect.Profile)
		return other, nil
	case effect.Profile == nil:
		return found, nil
	case found == nil:
		return tx.create(h, p, effect.Profile)
	}
	h.change(found, effect.Profile)
	return found, nil
}

// tell accepts the events that came of the changes.
func (c *changing) tell(tx *tx, p *project, tells []told) error {
	a := &acceptance{Acceptance: telltale.Acceptance{ProjectID: c.ProjectID, Room: c.Room}}
	for i, t := range tells {
		c.changed.Results[i].Events = len(t.events)
		a.Events, a.rows = append(a.Events, t.events...), append(a.rows, t.rows...)
	}
	accepted := telltale.Accepted{Events: make([]telltale.AcceptedEvent, len(a.Events))}
	if err := tx.acceptNew(p, a, &accepted); err != nil {
		return err
	}
	c.changed.Accepted = accepted
	tx.doubt(claimRefs(accepted.Claims))
	return nil
}

// beginImport finds the import of the progress, which has to run and stand where
// the progress begins; Conflict.
func (tx *tx) beginImport(project telltale.ProjectID, p *telltale.ImportProgress) (importRow, error) {
	r, err := tx.lockImport(p.ID)
	switch {
	case err != nil:
		return r, err
	case r.ProjectID != project:
		return r, notFound("import")
	case r.State != telltale.ImportRunning:
		return r, telltale.Errorf(telltale.Conflict, "The import %s is %s.", p.ID, r.State)
	case r.Place != p.From:
		return r, telltale.Errorf(telltale.Conflict, "The import %s stands at byte %d, not at %d.", p.ID, r.Place, p.From)
	}
	return r, nil
}

// noteImport writes how far the import has come, with the rows that were
// refused: those of which no change was made, and those whose change was not applied.
func (tx *tx) noteImport(r importRow, p *telltale.ImportProgress, results []telltale.UserResult) error {
	refused := p.Refused
	for i, result := range results {
		if result.Err == nil {
			r.Applied++
			continue
		}
		row := p.Of[i]
		row.Reason = stored.Refusal(result.Err)
		refused = append(refused[:len(refused):len(refused)], row)
	}
	kept := refused[:max(0, min(len(refused), telltale.MaxRefusedRows-r.Refused))]
	r.Refused += len(refused)
	lines, reasons, rows := make([]int64, len(kept)), make([]string, len(kept)), make([][]byte, len(kept))
	for i, row := range kept {
		lines[i], reasons[i], rows[i] = int64(row.Line), clean(row.Reason), row.Row[:min(len(row.Row), telltale.MaxRefusedRow)]
	}
	if len(kept) > 0 {
		tx.later(`INSERT INTO refused_row (import, line, reason, row) SELECT $1, u.line, u.reason, u.row FROM unnest($2::bigint[], $3::text[], $4::bytea[]) AS u(line, reason, row)`,
			r.number, lines, reasons, rows)
	}
	state := int64(stored.ImportRunning)
	var completedAt time.Time
	if p.Finished {
		state, completedAt = stored.ImportFinished, tx.presentTime()
	}
	tx.later(`UPDATE import SET place = $1, rows = $2, line = $3, applied = $4, refused = $5, state = $6, completed_at = $7 WHERE number = $8`,
		p.To, r.Rows+p.Rows, p.Line, r.Applied, r.Refused, state, milliOrNull(completedAt), r.number)
	return nil
}

// follows reports whether the event says that its user opted out or in, or should
// not be sent to.
func follows(e *telltale.Event) bool {
	return e.Type == telltale.Unsubscribed || e.Type == telltale.Resubscribed || e.Suppression() != ""
}

// followSubscriptions brings the profiles up to date of whom accepted events say
// so. It holds the users of all of them at once, so that two transactions never
// wait for each other.
func (tx *tx) followSubscriptions(group []*acceptance) error {
	var h heldUsers
	each := func(do func(p *project, e *telltale.Event) error) error {
		for _, a := range group {
			for i, e := range a.Events {
				if !follows(e) || a.accepted.Events[i].Duplicate {
					continue
				}
				if err := do(tx.known.project(a.ProjectID), e); err != nil {
					return fmt.Errorf("event %s: %w", e.ID, err)
				}
			}
		}
		return nil
	}
	_ = each(func(p *project, e *telltale.Event) error { h.wanted.add(p.number, e.UserID, e.Email); return nil })
	if len(h.wanted.ids) == 0 {
		return nil
	}
	if err := tx.hold(&h); err != nil {
		return err
	}
	err := each(func(p *project, e *telltale.Event) error { return tx.followSubscription(&h, p, e) })
	if err != nil {
		return err
	}
	return tx.storeUsers(&h)
}

func (tx *tx) followSubscription(h *heldUsers, p *project, e *telltale.Event) error {
	found, err := tx.findHeld(h, p.number, e.UserID, e.Email)
	if err != nil || found == nil {
		return err
	}
	change := telltale.UserChange{Kind: telltale.ChangeUnsubscribe, At: e.OccurredAt}
	if e.Type == telltale.Resubscribed {
		change.Kind = telltale.ChangeResubscribe
	} else if reason := e.Suppression(); reason != "" {
		change.Kind, change.Reason, change.User.Email = telltale.ChangeSuppress, reason, e.Email
	}
	effect, err := change.On(p.ID, found.profile(), nil, tx.presentTime())
	if err != nil {
		return err
	}
	_, err = tx.apply(h, p, found, nil, effect)
	return err
}
