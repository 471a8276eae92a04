package sqlite

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

const (
	// planTime is how long a plan counts, in transactions that look at
	// planRows rows each.
	planTime = 4 * time.Second
	planRows = 20_000
	// advanceRows is how many rows one step of a replay looks at, and
	// advancePicks how many deliveries it makes at most.
	advanceRows  = 5_000
	advancePicks = 1_000
)

func (s *Store) PlanReplay(ctx context.Context, project telltale.ProjectID, sel telltale.Selection, to telltale.WebhookID) (telltale.ReplayPlan, error) {
	plan := telltale.NewReplayPlan()
	began := time.Now()
	at := placeBehind(0)
	var walk *selection
	for !plan.Complete && (walk == nil || time.Since(began) < planTime) {
		err := s.read(ctx, "planning a replay", func(c *conn) (err error) {
			if walk == nil {
				if walk, err = s.newSelection(c, project, sel, to, began); err != nil {
					return err
				}
				walk.last = s.writer.committed.Load()
			}
			at, plan.Complete, err = walk.walk(c, at, planRows, func(p pick) bool {
				plan.Add(stored.EventTypes[p.code], p.target.id, stored.MilliTime(p.received), began)
				return true
			})
			return err
		})
		if err != nil {
			return telltale.ReplayPlan{}, err
		}
	}
	return plan, nil
}

// newSelection looks up what a selection names. It ends before now.
func (s *Store) newSelection(c *conn, project telltale.ProjectID, sel telltale.Selection, to telltale.WebhookID, now time.Time) (*selection, error) {
	made := &selection{known: s.known, project: s.known.project(project), which: sel.Which, types: sel.Types.Known(), made: now.UnixMilli()}
	if made.project == nil {
		return nil, notFound("project")
	}
	find := func(id telltale.WebhookID, deletedToo bool) (*webhook, error) {
		if id == "" {
			return nil, nil
		}
		w := s.known.webhook(id)
		if w == nil || w.project != made.project || w.now.Load().Deleted && !deletedToo {
			return nil, notFound("webhook")
		}
		return w, nil
	}
	var err error
	if made.target, err = find(to, false); err != nil {
		return nil, err
	}
	if made.webhook, err = find(sel.WebhookID, to != ""); err != nil {
		return nil, err
	}
	if err := sel.Validate(); err != nil {
		return nil, err
	}
	if len(sel.Deliveries) > 0 {
		return made, made.choose(c, s.ids, sel.Deliveries)
	}
	if !sel.Since.IsZero() {
		made.since = stored.CeilMilli(sel.Since)
	}
	if !sel.Until.IsZero() {
		made.until = stored.CeilMilli(sel.Until)
	}
	return made, nil
}

func (s *Store) CreateReplay(ctx context.Context, r telltale.Replay) (replay telltale.Replay, err error) {
	if err := r.Validate(); err != nil {
		return r, err
	}
	if r.ID == "" {
		r.ID = telltale.NewReplayID()
	}
	actor := telltale.ActorOf(ctx)
	if r.CreatedBy == "" {
		r.CreatedBy = actor.Name
	}
	err = s.write(ctx, "starting a replay", 500+8*len(r.Selection.Deliveries), func(tx *tx) error {
		sel, err := s.newSelection(tx.conn, r.ProjectID, r.Selection, r.To, tx.now)
		if err != nil {
			return err
		}
		running := 0
		_, err = tx.query(`SELECT count(*) FROM replay WHERE state IN (2, 3) AND state < 4 AND project = ?`).int(sel.project.number).one(func(q *query) { running = int(q.getInt()) })
		if err != nil {
			return err
		}
		if running >= telltale.MaxRunningReplays {
			return telltale.Errorf(telltale.Conflict, "The project has %d replays that are running or paused already: wait, or cancel one.", running)
		}
		which := int64(-1) // there is none beside chosen deliveries
		if sel.chosen == nil {
			if which, err = stored.Code(stored.WhichWords, sel.which); err != nil {
				return err
			}
		}
		start := placeBehind(0)
		if sel.chosen != nil {
			start = place{}
		}
		err = tx.change(`INSERT INTO replay (id, project, target, webhook, which, types, since, until, deliveries, last, rate, state, planned,
			made, succeeded, failed, place, place_webhook, created_by, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, ?, ?, ?, ?)`).
			text(string(r.ID)).int(sel.project.number).int(webhookNumber(sel.target)).int(webhookNumber(sel.webhook)).int(which).int(int64(sel.types)).
			int(sel.since).int(sel.until).blobOrNull(stored.EncodeNumbers(sel.chosen)).int(tx.last).float(r.Rate).int(stored.ReplayRunning).int(int64(r.Planned)).
			int(start.event).int(start.webhook).text(r.CreatedBy).int(tx.milli).run()
		if isConstraint(err) {
			return telltale.Errorf(telltale.Conflict, "There is a replay %s already.", r.ID)
		}
		if err != nil {
			return fmt.Errorf("replay %s: %w", r.ID, err)
		}
		if replay, _, err = s.readReplay(tx.conn, r.ProjectID, r.ID); err != nil {
			return err
		}
		return tx.audit(actor, telltale.AuditEntry{ProjectID: r.ProjectID, Action: telltale.AuditReplayStarted, Target: string(r.ID)})
	})
	return replay, err
}

func webhookNumber(w *webhook) int64 {
	if w == nil {
		return 0
	}
	return w.number
}

// replayRow is a replay with what only the engine knows of it.
type replayRow struct {
	telltale.Replay
	number int64
	selection
	place place
}

const replayColumns = `r.number, r.id, r.project, r.target, r.webhook, r.which, r.types, r.since, r.until, r.deliveries, r.last, r.rate, r.state, r.planned,
	r.made, r.succeeded, r.failed, r.place, r.place_webhook, r.created_by, r.created_at, coalesce(r.completed_at, 0)`

func (s *Store) scanReplay(q *query) replayRow {
	r := replayRow{number: q.getInt()}
	r.ID = telltale.ReplayID(q.getText())
	r.known, r.project = s.known, s.known.projectByNumber(q.getInt())
	r.ProjectID = r.project.now.Load().ID
	r.target, r.webhook = s.known.webhookByNumber(q.getInt()), s.known.webhookByNumber(q.getInt())
	if r.target != nil {
		r.To = r.target.id
	}
	if r.webhook != nil {
		r.Selection.WebhookID = r.webhook.id
	}
	r.which, r.types = stored.Word(stored.WhichWords, q.getInt()), telltale.EventTypeSet(q.getInt())
	r.since, r.until = q.getInt(), q.getInt()
	r.Selection.Which, r.Selection.Types = r.which, r.types
	r.Selection.Since, r.Selection.Until = stored.MilliTime(r.since), stored.MilliTime(r.until)
	r.chosen = stored.DecodeNumbers(q.getBlob())
	for _, number := range r.chosen {
		r.Selection.Deliveries = append(r.Selection.Deliveries, s.ids.Delivery(number))
	}
	r.last, r.Rate, r.State = q.getInt(), q.getFloat(), stored.Word(stored.ReplayStates, q.getInt())
	r.Planned, r.Made, r.Succeeded, r.Failed = int(q.getInt()), int(q.getInt()), int(q.getInt()), int(q.getInt())
	r.place = place{q.getInt(), q.getInt()}
	r.CreatedBy, r.CreatedAt, r.CompletedAt = q.getText(), stored.MilliTime(q.getInt()), stored.MilliTime(q.getInt())
	if r.made = stored.TimeMilli(r.CreatedAt); r.until == 0 && r.chosen == nil {
		r.Selection.Until = r.CreatedAt // the last number is what bounds it
	}
	return r
}

// addOpen adds to a replay's numbers what is not written in its row: what
// still waits, but is cancelled since its webhook is deleted, and what waits
// for its first attempt. It goes from webhook to webhook in the index of what
// is open, so it costs little however much waits to be tried again.
func (s *Store) addOpen(c *conn, r *replayRow) error {
	if r.Made == r.Succeeded+r.Failed {
		return nil
	}
	for retry := range int64(2) {
		for number := int64(0); ; {
			found, err := c.query(`SELECT webhook FROM delivery INDEXED BY delivery_replay_open
				WHERE replay IS NOT NULL AND state = 2 AND replay = ? AND (attempts > 0) = ? AND webhook > ? ORDER BY webhook LIMIT 1`).
				int(r.number).int(retry).int(number).one(func(q *query) { number = q.getInt() })
			if err != nil {
				return err
			}
			if !found {
				break
			}
			w, most, into := s.known.webhookByNumber(number).now.Load(), int64(math.MaxInt64), &r.Failed
			switch {
			case w.Deleted:
			case w.Enabled && retry == 0:
				most, into = int64(r.MaxAhead()-r.Ahead), &r.Ahead
			default:
				continue
			}
			_, err = c.query(`SELECT count(*) FROM (SELECT 1 FROM delivery INDEXED BY delivery_replay_open
				WHERE replay IS NOT NULL AND state = 2 AND replay = ? AND (attempts > 0) = ? AND webhook = ? LIMIT ?)`).
				int(r.number).int(retry).int(number).int(most).one(func(q *query) { *into += int(q.getInt()) })
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// readReplay reads a replay of a project, or, with no project, of any.
func (s *Store) readReplay(c *conn, project telltale.ProjectID, id telltale.ReplayID) (telltale.Replay, bool, error) {
	r, found, err := s.replayRow(c, id)
	if err != nil || !found || r.ProjectID != project {
		return telltale.Replay{}, false, err
	}
	return r.Replay, true, s.addOpen(c, &r)
}

func (s *Store) replayRow(c *conn, id telltale.ReplayID) (r replayRow, found bool, err error) {
	found, err = c.query(`SELECT ` + replayColumns + ` FROM replay r WHERE r.id = ?`).text(string(id)).one(func(q *query) { r = s.scanReplay(q) })
	return r, found, err
}

func (s *Store) Replay(ctx context.Context, project telltale.ProjectID, id telltale.ReplayID) (replay telltale.Replay, err error) {
	err = s.read(ctx, "reading a replay", func(c *conn) error {
		var found bool
		if replay, found, err = s.readReplay(c, project, id); err != nil || !found {
			return orNotFound(err, "replay")
		}
		return nil
	})
	return replay, err
}

func (s *Store) Replays(ctx context.Context, project telltale.ProjectID, page telltale.Page) ([]telltale.Replay, error) {
	if err := s.down(); err != nil {
		return nil, err
	}
	p := s.known.project(project)
	if p == nil {
		return nil, nil
	}
	var rows []replayRow
	err := s.read(ctx, "listing replays", func(c *conn) error {
		l := list{page: page, key: "r.id"}
		l.where("r.project = ?", p.number)
		l.pageByText()
		return s.listReplays(c, &rows, func(scan func(*query) error) error { return l.each(c, `SELECT `+replayColumns+` FROM replay r`, scan) })
	})
	if err != nil {
		return nil, err
	}
	return newestFirst(replaysOf(rows), page), nil
}

func (s *Store) RunningReplays(ctx context.Context) ([]telltale.Replay, error) {
	var rows []replayRow
	err := s.read(ctx, "looking for replays that run", func(c *conn) error {
		return s.listReplays(c, &rows, c.query(`SELECT `+replayColumns+` FROM replay r WHERE r.state = 2 AND r.state < 4 ORDER BY r.project, r.number`).each)
	})
	return replaysOf(rows), err
}

func (s *Store) listReplays(c *conn, rows *[]replayRow, each func(scan func(*query) error) error) error {
	err := each(func(q *query) error {
		*rows = append(*rows, s.scanReplay(q))
		return nil
	})
	for i := range *rows {
		if err == nil {
			err = s.addOpen(c, &(*rows)[i])
		}
	}
	return err
}

func replaysOf(rows []replayRow) []telltale.Replay {
	var replays []telltale.Replay
	for i := range rows {
		replays = append(replays, rows[i].Replay)
	}
	return replays
}

func (s *Store) SwitchReplay(ctx context.Context, project telltale.ProjectID, id telltale.ReplayID, to telltale.ReplayState) (replay telltale.Replay, err error) {
	actor := telltale.ActorOf(ctx)
	action, known := map[telltale.ReplayState]telltale.AuditAction{
		telltale.ReplayRunning: telltale.AuditReplayResumed, telltale.ReplayPaused: telltale.AuditReplayPaused, telltale.ReplayCancelled: telltale.AuditReplayCancelled,
	}[to]
	if !known {
		return replay, telltale.Errorf(telltale.Invalid, "A replay is not switched to %q: it is paused, resumed or cancelled.", telltale.CutValue(string(to)))
	}
	err = s.write(ctx, "switching a replay", 100, func(tx *tx) error {
		var found bool
		if replay, found, err = s.readReplay(tx.conn, project, id); err != nil || !found {
			return orNotFound(err, "replay")
		}
		if replay.State == to {
			return nil
		}
		if replay.State != telltale.ReplayRunning && replay.State != telltale.ReplayPaused {
			return telltale.Errorf(telltale.Conflict, "The replay has ended: it is %s.", replay.State)
		}
		state, err := stored.Code(stored.ReplayStates, to)
		if err != nil {
			return err
		}
		completed := int64(0)
		if to == telltale.ReplayCancelled {
			completed = tx.milli
		}
		if err := tx.change(`UPDATE replay SET state = ?, completed_at = ? WHERE id = ?`).int(state).intOrNull(completed).text(string(id)).run(); err != nil {
			return err
		}
		replay.State, replay.CompletedAt = to, stored.MilliTime(completed)
		return tx.audit(actor, telltale.AuditEntry{ProjectID: project, Action: action, Target: string(id)})
	})
	if err != nil {
		return telltale.Replay{}, err
	}
	return replay, nil
}

// AdvanceReplay looks for what is next while it reads, so that the writer is
// not held up, and then makes it: if the replay still stands where it stood.
func (s *Store) AdvanceReplay(ctx context.Context, id telltale.ReplayID, n int) (telltale.Replay, []*telltale.Webhook, error) {
	var r replayRow
	var picks []pick
	var to place
	var done bool
	err := s.read(ctx, "looking for what a replay sends", func(c *conn) (err error) {
		var found bool
		if r, found, err = s.replayRow(c, id); err != nil || !found {
			return orNotFound(err, "replay")
		}
		if err = s.addOpen(c, &r); err != nil || r.State != telltale.ReplayRunning || n <= 0 {
			return err
		}
		to, done, err = r.walk(c, r.place, advanceRows, func(p pick) bool {
			picks = append(picks, p)
			return len(picks) < min(n, advancePicks)
		})
		return err
	})
	if err != nil || r.State != telltale.ReplayRunning || n <= 0 {
		return r.Replay, nil, err
	}
	var due []*telltale.Webhook
	err = s.write(ctx, "advancing a replay", 300*len(picks), func(tx *tx) error {
		due = nil
		now, found, err := s.replayRow(tx.conn, id)
		if err != nil || !found {
			return orNotFound(err, "replay")
		}
		if now.State == telltale.ReplayRunning && now.place == r.place {
			if due, err = tx.advance(&now, picks, to, done); err != nil {
				return fmt.Errorf("replay %s: %w", id, err)
			}
		}
		r = now
		return s.addOpen(tx.conn, &r)
	})
	if err != nil {
		return telltale.Replay{}, nil, err
	}
	return r.Replay, due, nil
}

// advance makes the deliveries and writes where the replay stands then.
func (tx *tx) advance(r *replayRow, picks []pick, to place, done bool) (due []*telltale.Webhook, err error) {
	made := 0
	for _, p := range picks {
		w := tx.state(p.target)
		// It may have been deleted, or purged, since it was found.
		there, err := tx.query(`SELECT 1 FROM event WHERE number = ?`).int(p.event).one(func(*query) {})
		if err != nil {
			return nil, err
		}
		if w.Deleted || !there {
			continue
		}
		number := tx.number()
		if err := tx.insertDelivery(newDelivery{number: number, event: p.event, code: p.code, webhook: p.target, test: p.test, replay: r.number}); err != nil {
			return nil, err
		}
		if err := tx.digestEvent(number, p.print); err != nil {
			return nil, err
		}
		made++
		if w.Enabled && !slices.Contains(due, w.Webhook) {
			due = append(due, w.Webhook)
		}
	}
	r.Made += made
	r.place = to
	state := int64(stored.ReplayRunning)
	completed := int64(0)
	if done {
		state, completed = stored.ReplayFinished, tx.milli
		r.State, r.CompletedAt = telltale.ReplayFinished, tx.presentTime()
	}
	err = tx.change(`UPDATE replay SET made = ?, place = ?, place_webhook = ?, state = ?, completed_at = ? WHERE number = ?`).
		int(int64(r.Made)).int(to.event).int(to.webhook).int(state).intOrNull(completed).int(r.number).run()
	return due, err
}

// countReplayed notes that a delivery of a replay moved from one state to another.
func (tx *tx) countReplayed(replay, before, after int64) error {
	var ended stored.Ended
	if ended.Move(before, after); ended == (stored.Ended{}) {
		return nil
	}
	err := tx.change(`UPDATE replay SET succeeded = succeeded + ?, failed = failed + ? WHERE number = ?`).int(ended.Succeeded).int(ended.Failed).int(replay).run()
	if err != nil {
		return fmt.Errorf("counting for replay %d: %w", replay, err)
	}
	return nil
}

// purgeReplays forgets replays that ended, are older than the events, and have
// no deliveries any more. There are few: people start them.
func (tx *tx) purgeReplays(age time.Duration) (more bool, err error) {
	if age == 0 {
		return false, nil
	}
	err = tx.change(`DELETE FROM replay WHERE state >= 4 AND created_at < ?
		AND NOT EXISTS (SELECT 1 FROM delivery d INDEXED BY delivery_replay WHERE d.replay IS NOT NULL AND d.replay = replay.number)`).
		int(tx.milli - age.Milliseconds()).run()
	return false, err
}
