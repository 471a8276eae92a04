package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

const (
	// planTime is how long a plan counts, in reads that look at planRows rows each.
	planTime = 4 * time.Second
	planRows = 5_000
	// advanceRows is how many rows one step of a replay looks at, and
	// advancePicks how many deliveries it makes at most.
	advanceRows  = 5_000
	advancePicks = 1_000
)

func (s *Store) PlanReplay(ctx context.Context, project telltale.ProjectID, sel telltale.Selection, to telltale.WebhookID) (telltale.ReplayPlan, error) {
	plan := telltale.NewReplayPlan()
	known, err := s.configured(ctx)
	if err != nil {
		return plan, err
	}
	began := time.Now()
	at := placeBehind(0)
	var walk *selection
	for !plan.Complete && (walk == nil || time.Since(began) < planTime) {
		err := s.snapshot(ctx, "planning a replay", func(ctx context.Context, q querier) (err error) {
			if walk == nil {
				if walk, err = s.newSelection(ctx, q, known, project, sel, to); err != nil {
					return err
				}
				at = walk.start()
			}
			now := stored.MilliTime(walk.made)
			at, plan.Complete, err = walk.walk(ctx, q, at, planRows, func(p pick) bool {
				plan.Add(stored.EventTypes[p.code], p.target.now().ID, stored.MilliTime(p.received), now)
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
func (s *Store) newSelection(ctx context.Context, q querier, known *registry, project telltale.ProjectID, sel telltale.Selection, to telltale.WebhookID) (*selection, error) {
	made := &selection{known: known, project: known.project(project), which: sel.Which, types: sel.Types.Known()}
	if made.project == nil {
		return nil, notFound("project")
	}
	if err := q.QueryRow(ctx, `SELECT telltale_now(), last_value FROM line`).Scan(&made.made, &made.last); err != nil {
		return nil, err
	}
	find := func(id telltale.WebhookID, deletedToo bool) (*webhook, error) {
		if id == "" {
			return nil, nil
		}
		w := known.webhook(id)
		if w == nil || w.project != made.project.number || w.now().Deleted && !deletedToo {
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
		return made, made.choose(ctx, q, s.ids, sel.Deliveries)
	}
	if !sel.Since.IsZero() {
		made.since = stored.CeilMilli(sel.Since)
	}
	if !sel.Until.IsZero() {
		made.until = stored.CeilMilli(sel.Until)
	}
	return made, nil
}

// start is the place where a walk begins.
func (s *selection) start() place {
	if s.chosen != nil {
		return place{}
	}
	return placeBehind(0)
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
	err = s.write(ctx, "starting a replay", func(tx *tx) error {
		sel, err := s.newSelection(tx.ctx, tx.conn, tx.known, r.ProjectID, r.Selection, r.To)
		if err != nil {
			return err
		}
		running, err := tx.countOpen("replay", sel.project)
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
		start := sel.start()
		_, err = tx.exec(`INSERT INTO replay (id, project, target, webhook, which, types, since, until, deliveries, last, rate, state, planned,
			made, succeeded, failed, place, place_webhook, created_by, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 0, 0, 0, $14, $15, $16, $17)`,
			string(r.ID), sel.project.number, webhookNumber(sel.target), webhookNumber(sel.webhook), which, int64(sel.types), sel.since, sel.until, stored.EncodeNumbers(sel.chosen), sel.last,
			r.Rate, stored.ReplayRunning, r.Planned, start.event, start.webhook, clean(r.CreatedBy), tx.milli)
		if isUnique(err) {
			return telltale.Errorf(telltale.Conflict, "There is a replay %s already.", r.ID)
		}
		if err != nil {
			return fmt.Errorf("replay %s: %w", r.ID, err)
		}
		made, err := s.readReplay(tx.ctx, tx.conn, tx.known, r.ProjectID, r.ID)
		if err != nil {
			return err
		}
		replay = made.Replay
		return tx.audit(actor, telltale.AuditEntry{ProjectID: r.ProjectID, Action: telltale.AuditReplayStarted, Target: string(r.ID)})
	})
	if err != nil {
		return telltale.Replay{}, err
	}
	return replay, nil
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

// scannedReplay is a row with those columns.
type scannedReplay struct {
	replayRow
	project, target, webhook, which, types, state, createdAt, completedAt int64
	deliveries                                                            []byte
}

func (r *scannedReplay) into() []any {
	return []any{&r.number, &r.ID, &r.project, &r.target, &r.webhook, &r.which, &r.types, &r.since, &r.until, &r.deliveries, &r.last, &r.Rate, &r.state, &r.Planned,
		&r.Made, &r.Succeeded, &r.Failed, &r.place.event, &r.place.webhook, &r.CreatedBy, &r.createdAt, &r.completedAt}
}

// row is the replay as it was scanned, apart from the variable.
func (r *scannedReplay) row(s *Store, known *registry) (replayRow, error) {
	made := r.replayRow
	made.known, made.selection.project = known, known.byNumber[r.project]
	if made.selection.project == nil {
		return made, fmt.Errorf("replay %s: there is no project %d", r.ID, r.project)
	}
	made.ProjectID = made.selection.project.ID
	made.target, made.selection.webhook = known.hooks[r.target], known.hooks[r.webhook]
	if made.target != nil {
		made.To = made.target.now().ID
	}
	if made.selection.webhook != nil {
		made.Selection.WebhookID = made.selection.webhook.now().ID
	}
	made.selection.which, made.selection.types = stored.Word(stored.WhichWords, r.which), telltale.EventTypeSet(r.types)
	made.Selection.Which, made.Selection.Types = made.selection.which, made.selection.types
	made.Selection.Since, made.Selection.Until = stored.MilliTime(r.since), stored.MilliTime(r.until)
	made.chosen = stored.DecodeNumbers(r.deliveries)
	for _, number := range made.chosen {
		made.Selection.Deliveries = append(made.Selection.Deliveries, s.ids.Delivery(number))
	}
	made.State = stored.Word(stored.ReplayStates, r.state)
	made.CreatedAt, made.CompletedAt = stored.MilliTime(r.createdAt), stored.MilliTime(r.completedAt)
	if made.made = r.createdAt; r.until == 0 && made.chosen == nil {
		made.Selection.Until = made.CreatedAt // the last number is what bounds it
	}
	return made, nil
}

// addOpen adds to a replay's numbers what is not written in its row: what
// still waits, but is cancelled since its webhook is deleted, and what waits
// for its first attempt. It costs little however much waits to be tried again.
func (s *Store) addOpen(ctx context.Context, q querier, r *replayRow) error {
	if r.Made == r.Succeeded+r.Failed {
		return nil
	}
	var webhooks []int64
	for _, w := range r.known.allByNumb {
		if w.project == r.selection.project.number {
			webhooks = append(webhooks, w.number)
		}
	}
	var webhook, first, all int64
	most := r.MaxAhead()
	return each(ctx, q, `SELECT w.number,
			(SELECT count(*) FROM (SELECT 1 FROM delivery d WHERE d.state = 2 AND d.replay = $1 AND d.webhook = w.number AND least(d.attempts, 1) = 0 LIMIT $3) x),
			(SELECT count(*) FROM delivery d WHERE d.state = 2 AND d.replay = $1 AND d.webhook = w.number AND w.deleted_at IS NOT NULL)
		FROM webhook w WHERE w.number = ANY($2::integer[]) AND (w.enabled OR w.deleted_at IS NOT NULL)`,
		[]any{r.number, webhooks, most}, []any{&webhook, &first, &all}, func() error {
			if r.known.hooks[webhook].now().Deleted {
				r.Failed += int(all)
			} else {
				r.Ahead = min(r.Ahead+int(first), most)
			}
			return nil
		})
}

// readReplay reads a replay of a project; NotFound.
func (s *Store) readReplay(ctx context.Context, q querier, known *registry, project telltale.ProjectID, id telltale.ReplayID) (replayRow, error) {
	r, err := s.replayRow(ctx, q, known, id, "")
	if err == nil && r.ProjectID != project {
		err = notFound("replay")
	}
	if err != nil {
		return replayRow{}, err
	}
	return r, s.addOpen(ctx, q, &r)
}

// replayRow reads a replay of any project, as its row has it. With FOR UPDATE as
// its lock nobody else changes it before the transaction ends. NotFound.
func (s *Store) replayRow(ctx context.Context, q querier, known *registry, id telltale.ReplayID, lock string) (replayRow, error) {
	var r scannedReplay
	err := q.QueryRow(ctx, `SELECT `+replayColumns+` FROM replay r WHERE r.id = $1 `+lock, clean(string(id))).Scan(r.into()...)
	if noRows(err) {
		return replayRow{}, notFound("replay")
	}
	if err != nil {
		return replayRow{}, err
	}
	return r.row(s, known)
}

func (s *Store) Replay(ctx context.Context, project telltale.ProjectID, id telltale.ReplayID) (telltale.Replay, error) {
	known, err := s.configured(ctx)
	if err != nil {
		return telltale.Replay{}, err
	}
	var r replayRow
	err = s.snapshot(ctx, "reading a replay", func(ctx context.Context, q querier) (err error) {
		r, err = s.readReplay(ctx, q, known, project, id)
		return err
	})
	if err != nil {
		return telltale.Replay{}, err
	}
	return r.Replay, nil
}

func (s *Store) Replays(ctx context.Context, project telltale.ProjectID, page telltale.Page) ([]telltale.Replay, error) {
	known, err := s.configured(ctx)
	if err != nil {
		return nil, err
	}
	p := known.project(project)
	if p == nil {
		return nil, nil
	}
	var c conditions
	c.where("r.project = ?", p.number)
	order := c.byID("r.id", page)
	replays, err := s.listReplays(ctx, "listing replays", known, c.String()+order, c.args)
	return newestFirst(replays, page), err
}

func (s *Store) RunningReplays(ctx context.Context) ([]telltale.Replay, error) {
	known, err := s.configured(ctx)
	if err != nil {
		return nil, err
	}
	return s.listReplays(ctx, "looking for replays that run", known, ` WHERE r.state = 2 AND r.state < 4 ORDER BY r.project, r.number`, nil)
}

func (s *Store) listReplays(ctx context.Context, operation string, known *registry, which string, args []any) (replays []telltale.Replay, err error) {
	err = s.snapshot(ctx, operation, func(ctx context.Context, q querier) error {
		var rows []replayRow
		var scanned scannedReplay
		err := each(ctx, q, `SELECT `+replayColumns+` FROM replay r`+which, args, scanned.into(), func() error {
			r, err := scanned.row(s, known)
			rows = append(rows, r)
			scanned.deliveries = nil
			return err
		})
		for i := range rows {
			if err == nil {
				err = s.addOpen(ctx, q, &rows[i])
			}
			replays = append(replays, rows[i].Replay)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return replays, nil
}

func (s *Store) SwitchReplay(ctx context.Context, project telltale.ProjectID, id telltale.ReplayID, to telltale.ReplayState) (telltale.Replay, error) {
	actor := telltale.ActorOf(ctx)
	action, known := map[telltale.ReplayState]telltale.AuditAction{
		telltale.ReplayRunning: telltale.AuditReplayResumed, telltale.ReplayPaused: telltale.AuditReplayPaused, telltale.ReplayCancelled: telltale.AuditReplayCancelled,
	}[to]
	if !known {
		return telltale.Replay{}, telltale.Errorf(telltale.Invalid, "A replay is not switched to %q: it is paused, resumed or cancelled.", telltale.CutValue(string(to)))
	}
	var r replayRow
	err := s.write(ctx, "switching a replay", func(tx *tx) (err error) {
		if r, err = s.replayRow(tx.ctx, tx.conn, tx.known, id, "FOR UPDATE"); err != nil {
			return err
		}
		if r.ProjectID != project {
			return notFound("replay")
		}
		if err := s.addOpen(tx.ctx, tx.conn, &r); err != nil || r.State == to {
			return err
		}
		if r.State != telltale.ReplayRunning && r.State != telltale.ReplayPaused {
			return telltale.Errorf(telltale.Conflict, "The replay has ended: it is %s.", r.State)
		}
		state, err := stored.Code(stored.ReplayStates, to)
		if err != nil {
			return err
		}
		if r.State = to; to == telltale.ReplayCancelled {
			r.CompletedAt = tx.presentTime()
		}
		if _, err := tx.exec(`UPDATE replay SET state = $1, completed_at = $2 WHERE number = $3`, state, milliOrNull(r.CompletedAt), r.number); err != nil {
			return err
		}
		return tx.audit(actor, telltale.AuditEntry{ProjectID: project, Action: action, Target: string(id)})
	})
	if err != nil {
		return telltale.Replay{}, err
	}
	return r.Replay, nil
}

// AdvanceReplay looks for what is next before it locks the replay, which whoever
// records attempts of its deliveries would wait for, and then makes it: if the
// replay still stands where it stood.
func (s *Store) AdvanceReplay(ctx context.Context, id telltale.ReplayID, n int) (telltale.Replay, []*telltale.Webhook, error) {
	known, err := s.configured(ctx)
	if err != nil {
		return telltale.Replay{}, nil, err
	}
	var r replayRow
	var picks []pick
	var to place
	var done bool
	err = s.snapshot(ctx, "looking for what a replay sends", func(ctx context.Context, q querier) (err error) {
		if r, err = s.replayRow(ctx, q, known, id, ""); err != nil {
			return err
		}
		if err = s.addOpen(ctx, q, &r); err != nil || r.State != telltale.ReplayRunning || n <= 0 {
			return err
		}
		to, done, err = r.walk(ctx, q, r.place, advanceRows, func(p pick) bool {
			picks = append(picks, p)
			return len(picks) < min(n, advancePicks)
		})
		return err
	})
	if err != nil {
		return telltale.Replay{}, nil, err
	}
	if r.State != telltale.ReplayRunning || n <= 0 {
		return r.Replay, nil, nil
	}
	var due []*telltale.Webhook
	err = s.write(ctx, "advancing a replay", func(tx *tx) error {
		due = nil
		there, err := tx.holdEvents(picks)
		if err != nil {
			return err
		}
		if err := tx.need(len(picks)); err != nil {
			return err
		}
		now, err := s.replayRow(tx.ctx, tx.conn, tx.known, id, "FOR UPDATE")
		if err != nil {
			return err
		}
		if now.State == telltale.ReplayRunning && now.place == r.place {
			if due, err = tx.advance(&now, picks, there, to, done); err != nil {
				return fmt.Errorf("replay %s: %w", id, err)
			}
		}
		r = now
		return s.addOpen(tx.ctx, tx.conn, &r)
	})
	if err != nil {
		return telltale.Replay{}, nil, err
	}
	return r.Replay, due, nil
}

// advance makes the deliveries and writes where the replay stands then.
func (tx *tx) advance(r *replayRow, picks []pick, there map[int64]bool, to place, done bool) (due []*telltale.Webhook, err error) {
	for _, p := range picks {
		// It may have been deleted, or purged, since it was found.
		w := tx.known.hooks[p.target.number]
		if w == nil || w.now().Deleted || !there[p.event] {
			continue
		}
		number, err := tx.number()
		if err != nil {
			return nil, err
		}
		tx.insertDelivery(newDelivery{number: number, event: p.event, code: p.code, webhook: w, test: p.test, replay: r.number})
		r.Made++
		if now := w.now(); now.Enabled && !slices.Contains(due, now) {
			due = append(due, now)
		}
	}
	if err := tx.flush(); err != nil {
		return nil, err
	}
	state := int64(stored.ReplayRunning)
	r.place = to
	if done {
		state = stored.ReplayFinished
		r.State, r.CompletedAt = telltale.ReplayFinished, tx.presentTime()
	}
	_, err = tx.exec(`UPDATE replay SET made = $1, place = $2, place_webhook = $3, state = $4, completed_at = $5 WHERE number = $6`,
		r.Made, to.event, to.webhook, state, milliOrNull(r.CompletedAt), r.number)
	return due, err
}

// holdEvents tells which of the picks' events are there, and keeps them there
// until the transaction ends. It comes before the replay is locked, since whoever
// removes events takes both in this order.
func (tx *tx) holdEvents(picks []pick) (map[int64]bool, error) {
	there := make(map[int64]bool, len(picks))
	if len(picks) == 0 {
		return there, nil
	}
	numbers := make([]int64, len(picks))
	for i, p := range picks {
		numbers[i] = p.event
	}
	var number int64
	return there, tx.each([]any{&number}, func() error { there[number] = true; return nil },
		`SELECT number FROM event WHERE number = ANY($1::bigint[]) AND number BETWEEN $2 AND $3 ORDER BY number FOR KEY SHARE`, numbers, slices.Min(numbers), slices.Max(numbers))
}

// countReplayed notes that a delivery of a replay moved from one state to another.
func (tx *tx) countReplayed(replay, before, after int64) {
	if tx.replayed == nil {
		tx.replayed = map[int64]stored.Ended{}
	}
	ended := tx.replayed[replay]
	ended.Move(before, after)
	tx.replayed[replay] = ended
}

// queueReplayed adds up what became of replays' deliveries. Many transactions add
// to the row of a replay, so this stands right before the COMMIT, and each takes
// the rows in the same order.
func (tx *tx) queueReplayed(b *pgx.Batch) {
	for _, replay := range slices.Sorted(maps.Keys(tx.replayed)) {
		if ended := tx.replayed[replay]; ended != (stored.Ended{}) {
			b.Queue(`UPDATE replay SET succeeded = succeeded + $1, failed = failed + $2 WHERE number = $3`, ended.Succeeded, ended.Failed, replay)
		}
	}
}
