package postgres

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// dueOf tells, of webhooks by number, when the next waiting delivery is due,
// first attempts and retries apart, and whether held ones are to be released.
const dueOf = `SELECT w.number,
	(SELECT d.at FROM delivery d WHERE d.state = 2 AND d.webhook = w.number AND d.epoch = w.epoch AND least(d.attempts, 1) = 0 ORDER BY d.at LIMIT 1),
	(SELECT d.at FROM delivery d WHERE d.state = 2 AND d.webhook = w.number AND d.epoch = w.epoch AND least(d.attempts, 1) = 1 ORDER BY d.at LIMIT 1),
	EXISTS (SELECT 1 FROM delivery d WHERE d.state = 2 AND d.webhook = w.number AND d.epoch < w.epoch)
	FROM webhook w WHERE w.enabled AND w.deleted_at IS NULL`

// scannedDue is a row of that.
type scannedDue struct {
	number       int64
	first, retry *int64
	held         bool
}

func (r *scannedDue) into() []any { return []any{&r.number, &r.first, &r.retry, &r.held} }

func (r *scannedDue) lane(w *webhook, milli int64) telltale.LaneDue {
	lane := telltale.LaneDue{Webhook: w.now(), In: telltale.Never, Held: r.held}
	for _, at := range []*int64{r.first, r.retry} {
		if at != nil {
			lane.In = min(lane.In, max(0, time.Duration(*at-milli)*time.Millisecond))
		}
	}
	return lane
}

// DueWebhooks also brings the standings up to date that other nodes wrote.
func (s *Store) DueWebhooks(ctx context.Context) ([]telltale.LaneDue, error) {
	known, err := s.configured(ctx)
	if err != nil {
		return nil, err
	}
	due := make([]telltale.LaneDue, 0, len(known.allByNumb))
	err = s.read(ctx, "looking for what is due", func(ctx context.Context, q querier) error {
		var milli int64
		if err := q.QueryRow(ctx, `SELECT telltale_now()`).Scan(&milli); err != nil {
			return err
		}
		// A transaction that writes a standing takes less than this.
		err := readStandings(ctx, q, `s.touched_at >= $1`, milli-2*writeLimit.Milliseconds(), func(number int64, st standing) {
			if w := known.hooks[number]; w != nil {
				w.show(st)
			}
		})
		if err != nil {
			return err
		}
		var row scannedDue
		return each(ctx, q, dueOf+` ORDER BY w.number`, nil, row.into(), func() error {
			if w := known.hooks[row.number]; w != nil {
				due = append(due, row.lane(w, milli))
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return due, nil
}

// claimable picks what is claimed for lanes, past what others are claiming: of
// what was held as much as the lane says, then first attempts, then retries.
// Each lane gets no more than its slots of each; what is too much is left.
const claimable = `WITH lane AS MATERIALIZED (
	SELECT u.lane, w.number, w.epoch, u.slots, least(u.held, u.slots) AS held FROM unnest($1::integer[], $2::text[], $3::integer[], $4::integer[]) AS u(lane, id, slots, held)
	JOIN webhook w ON w.id = u.id WHERE w.enabled AND w.deleted_at IS NULL)
SELECT lane.lane, lane.slots, p.* FROM lane CROSS JOIN LATERAL `

var claimQueries = [...]string{
	claimable + `(SELECT ` + openColumns + ` FROM delivery WHERE state = 2 AND webhook = lane.number AND epoch < lane.epoch
		ORDER BY epoch, least(attempts, 1), at, number LIMIT lane.held FOR UPDATE SKIP LOCKED) p`,
	claimable + `(SELECT ` + openColumns + ` FROM delivery WHERE state = 2 AND webhook = lane.number AND epoch = lane.epoch AND least(attempts, 1) = 0 AND at <= telltale_now()
		ORDER BY at, number LIMIT lane.slots FOR UPDATE SKIP LOCKED) p`,
	claimable + `(SELECT ` + openColumns + ` FROM delivery WHERE state = 2 AND webhook = lane.number AND epoch = lane.epoch AND least(attempts, 1) = 1 AND at <= telltale_now()
		ORDER BY at, number LIMIT lane.slots FOR UPDATE SKIP LOCKED) p`,
}

func (s *Store) ClaimDue(ctx context.Context, lanes []telltale.LaneRoom) ([]telltale.LaneClaims, error) {
	var claimed []telltale.LaneClaims
	place, ids, slots, held := make([]int64, len(lanes)), make([]string, len(lanes)), make([]int64, len(lanes)), make([]int64, len(lanes))
	for i, l := range lanes {
		place[i], ids[i], slots[i], held[i] = int64(i), string(l.WebhookID), int64(max(l.Slots, 0)), int64(max(l.Held, 0))
	}
	var picked [][]*deliveryRow
	err := s.transact(ctx, transaction{
		name: "claiming deliveries", numbers: 1,
		first: func(b *pgx.Batch) {
			picked = make([][]*deliveryRow, len(lanes))
			for _, query := range claimQueries {
				b.Queue(query, place, ids, slots, held).Query(func(rows pgx.Rows) error {
					var lane, slots int
					var d deliveryRow
					_, err := pgx.ForEachRow(rows, append([]any{&lane, &slots}, d.into()...), func() error {
						if len(picked[lane]) < slots {
							picked[lane] = append(picked[lane], d.scanned())
						}
						return nil
					})
					return err
				})
			}
		},
		do: func(tx *tx) (err error) {
			claimed, err = tx.claim(lanes, picked)
			return err
		},
	})
	if err != nil {
		return nil, err
	}
	return claimed, nil
}

// claim gives what was picked to this node, and tells what is left.
func (tx *tx) claim(lanes []telltale.LaneRoom, picked [][]*deliveryRow) ([]telltale.LaneClaims, error) {
	claimed := make([]telltale.LaneClaims, len(lanes))
	var numbers, events, replays, webhooks []int64
	for i, l := range lanes {
		claimed[i].In = telltale.Never
		if w := tx.known.webhook(l.WebhookID); w != nil {
			claimed[i].Webhook = w.now()
			webhooks = append(webhooks, w.number)
		}
		for _, d := range picked[i] {
			numbers, events = append(numbers, d.number), append(events, d.event)
			if d.replay != 0 {
				replays = append(replays, d.replay)
			}
		}
	}
	// The number of the claims is one of the line, which no other transaction has: a
	// claim that is in doubt is never taken for a later one of the same delivery.
	number, err := tx.number()
	if err != nil {
		return nil, err
	}
	found, names := map[int64]*telltale.Event{}, map[int64]telltale.ReplayID{}
	b := &pgx.Batch{}
	if len(numbers) > 0 {
		b.Queue(`UPDATE delivery SET state = 3, claim = $3, node = $2 WHERE number = ANY($1::bigint[])`, numbers, tx.store.node.Load(), number)
		tx.queueEventsOf(b, events, found)
	}
	if len(replays) > 0 {
		b.Queue(`SELECT number, id FROM replay WHERE number = ANY($1::bigint[])`, replays).Query(func(rows pgx.Rows) error {
			var number int64
			var id string
			_, err := pgx.ForEachRow(rows, []any{&number, &id}, func() error { names[number] = telltale.ReplayID(id); return nil })
			return err
		})
	}
	left := map[int64]scannedDue{}
	b.Queue(dueOf+` AND w.number = ANY($1::bigint[])`, webhooks).Query(func(rows pgx.Rows) error {
		var row scannedDue
		_, err := pgx.ForEachRow(rows, row.into(), func() error { left[row.number] = row; return nil })
		return err
	})
	if err := tx.conn.SendBatch(tx.ctx, b).Close(); err != nil {
		return nil, err
	}
	var refs []telltale.ClaimRef
	for i, l := range lanes {
		w := tx.known.webhook(l.WebhookID)
		if w == nil {
			continue
		}
		if row, ok := left[w.number]; ok {
			claimed[i].LaneDue = row.lane(w, tx.milli)
		}
		for _, d := range picked[i] {
			claim, err := tx.claimOf(d, number, w, found, names)
			if err != nil {
				return nil, err
			}
			claimed[i].Claims = append(claimed[i].Claims, claim)
			refs = append(refs, claim.ClaimRef)
		}
	}
	tx.doubt(refs)
	return claimed, nil
}

// queueEventsOf reads the events of deliveries with a batch.
func (tx *tx) queueEventsOf(b *pgx.Batch, numbers []int64, into map[int64]*telltale.Event) {
	slices.Sort(numbers)
	b.Queue(`SELECT e.project, `+eventColumns+` FROM event e WHERE e.number = ANY($1::bigint[])`, slices.Compact(numbers)).Query(func(rows pgx.Rows) error {
		var project int64
		var row scannedEvent
		_, err := pgx.ForEachRow(rows, append([]any{&project}, row.into()...), func() error {
			if p := tx.known.byNumber[project]; p != nil {
				into[row.Sequence] = row.event(p.ID)
			}
			return nil
		})
		return err
	})
}

// claimOf is what the attempt of a claimed delivery needs to know.
func (tx *tx) claimOf(d *deliveryRow, number int64, w *webhook, events map[int64]*telltale.Event, replays map[int64]telltale.ReplayID) (telltale.Claim, error) {
	claim := telltale.Claim{
		ClaimRef:  telltale.ClaimRef{DeliveryID: tx.store.ids.Delivery(d.number), Number: number},
		ProjectID: w.now().ProjectID, Event: events[d.event], Webhook: w.now(),
		Trigger: d.trigger(), Test: d.test, Once: d.test || d.manual == manualOnce, ReplayID: replays[d.replay],
		Attempt: int(d.attempts) + 1, Step: int(d.step), Tries: int(d.triesSinceOutage()),
	}
	if d.firstAt != 0 {
		claim.Age = max(0, time.Duration(tx.milli-d.firstAt)*time.Millisecond)
	}
	if claim.Event == nil {
		return claim, fmt.Errorf("delivery %s lacks its event", claim.DeliveryID)
	}
	return claim, nil
}

func (s *Store) ReleaseClaims(ctx context.Context, claims []telltale.ClaimRef) error {
	held := map[int64]*deliveryRow{}
	return s.transact(ctx, transaction{
		name:  "releasing claims",
		first: func(b *pgx.Batch) { s.queueClaimed(b, claims, held) },
		do: func(tx *tx) error {
			for _, ref := range claims {
				number, _ := s.ids.OfDelivery(ref.DeliveryID)
				if d := held[number]; d != nil && d.claim == ref.Number {
					tx.release(d)
				}
			}
			return nil
		},
	})
}

// queueClaimed reads and locks deliveries that are claimed.
func (s *Store) queueClaimed(b *pgx.Batch, claims []telltale.ClaimRef, into map[int64]*deliveryRow) {
	clear(into)
	numbers := make([]int64, 0, len(claims))
	for _, ref := range claims {
		if number, ok := s.ids.OfDelivery(ref.DeliveryID); ok {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	queueRowsOf(b, into, `SELECT `+openColumns+` FROM delivery WHERE number = ANY($1::bigint[]) AND state = 3 ORDER BY number FOR UPDATE`, numbers)
}

// release lets a claimed delivery wait again, or be what its webhook makes of that.
func (tx *tx) release(d *deliveryRow) {
	d.state = stored.StateWaiting
	if w := tx.known.hooks[d.webhook]; w != nil {
		d.epoch = w.epoch
	}
	tx.move(d)
}

// doubts are claims of transactions of which nobody knows whether they committed:
// the connection was lost meanwhile. No attempt was begun of them, and they are
// under the name of a node that is alive, so this node gives them back itself.
type doubts struct {
	mu     sync.Mutex
	claims []telltale.ClaimRef
}

// doubt has the claims doubted if the transaction does not come back committed.
func (tx *tx) doubt(claims []telltale.ClaimRef) {
	if len(claims) == 0 {
		return
	}
	doubts := &tx.store.doubts
	tx.onUndo(func() {
		doubts.mu.Lock()
		defer doubts.mu.Unlock()
		doubts.claims = append(doubts.claims, claims...)
	})
}

// settleDoubts gives back what is doubted.
func (s *Store) settleDoubts(ctx context.Context) error {
	s.doubts.mu.Lock()
	claims := s.doubts.claims
	s.doubts.claims = nil
	s.doubts.mu.Unlock()
	if len(claims) == 0 {
		return nil
	}
	err := s.ReleaseClaims(ctx, claims)
	if err != nil {
		s.doubts.mu.Lock()
		s.doubts.claims = append(s.doubts.claims, claims...)
		s.doubts.mu.Unlock()
	}
	return err
}

// takeOverChunk is how many deliveries are taken over in one transaction.
const takeOverChunk = 1000

// TakeOver declares nodes gone whose lease has ended, and takes over what nodes
// that are gone had claimed, or claim still without knowing. A test is not made
// again, as it is not after an attempt of ours that was interrupted: whoever
// pressed the button has gone.
func (s *Store) TakeOver(ctx context.Context) (int, error) {
	if err := s.settleDoubts(ctx); err != nil {
		return 0, err
	}
	total := 0
	for {
		taken := 0
		err := s.write(ctx, "taking over", func(tx *tx) (err error) {
			taken, err = tx.takeOver()
			return err
		})
		total += taken
		if err != nil || taken < takeOverChunk {
			return total, err
		}
	}
}

func (tx *tx) takeOver() (int, error) {
	if _, err := tx.exec(`UPDATE node SET gone_at = $1 WHERE gone_at IS NULL AND lease_until < $1 AND number <> $2`, tx.milli, tx.store.node.Load()); err != nil {
		return 0, err
	}
	var nodes []int64
	var node int64
	// From one node that has claims to the next, past all their claims.
	err := tx.each([]any{&node}, func() error { nodes = append(nodes, node); return nil }, `WITH RECURSIVE claiming AS (
			(SELECT node FROM delivery WHERE state = 3 ORDER BY node LIMIT 1)
			UNION ALL SELECT (SELECT d.node FROM delivery d WHERE d.state = 3 AND d.node > c.node ORDER BY d.node LIMIT 1) FROM claiming c WHERE c.node IS NOT NULL)
		SELECT c.node FROM claiming c LEFT JOIN node n ON n.number = c.node WHERE c.node IS NOT NULL AND (n.number IS NULL OR n.gone_at IS NOT NULL)`)
	if err != nil || len(nodes) == 0 {
		return 0, err
	}
	seen := map[int64]goneNode{}
	var gone goneNode
	err = tx.each([]any{&node, &gone.id, &gone.seenAt}, func() error { seen[node] = gone; return nil },
		`SELECT number, id, coalesce(beat_at, started_at) FROM node WHERE number = ANY($1::integer[])`, nodes)
	if err != nil {
		return 0, err
	}
	var lost []*deliveryRow
	var d deliveryRow
	err = tx.each(d.into(), func() error { lost = append(lost, d.scanned()); return nil },
		`SELECT `+openColumns+` FROM delivery WHERE state = 3 AND node = ANY($1::integer[]) LIMIT $2 FOR UPDATE SKIP LOCKED`, nodes, takeOverChunk)
	if err != nil || len(lost) == 0 {
		return 0, err
	}
	if err := tx.need(len(lost)); err != nil {
		return 0, err
	}
	for _, d := range lost {
		if err := tx.interrupt(d, seen[d.node]); err != nil {
			return 0, fmt.Errorf("delivery %s: %w", tx.store.ids.Delivery(d.number), err)
		}
	}
	return len(lost), nil
}

// goneNode is what is known of a node that is gone.
type goneNode struct {
	id     string
	seenAt int64
}

// interrupt logs the attempt that may have been under way, and makes the
// delivery due. When it began is not known: at the latest when its node was
// last seen.
func (tx *tx) interrupt(d *deliveryRow, node goneNode) error {
	started := max(node.seenAt, stored.NumberMilli(d.number))
	row, err := newAttemptRow(&telltale.Attempt{
		Number: int(d.attempts) + 1, Trigger: d.trigger(), StartedAt: stored.MilliTime(started), Node: telltale.NodeID(node.id), Error: telltale.ErrorInterrupted,
	})
	if err != nil {
		return err
	}
	row.node = d.node
	if err := tx.insertAttempt(d, &row); err != nil {
		return err
	}
	d.attempts++
	d.tries = d.triesSinceOutage()
	d.lastAttempt = row.number
	d.lastError, d.lastStatus = string(telltale.ErrorInterrupted), 0
	if d.firstAt == 0 {
		d.firstAt = started
	}
	w := tx.known.hooks[d.webhook]
	if w == nil {
		return fmt.Errorf("there is no webhook %d", d.webhook)
	}
	d.state, d.epoch, d.at = stored.StateWaiting, w.epoch, tx.milli
	switch {
	case d.test && w.deletedAt != 0:
		d.state = stored.StateCancelled
	case d.test:
		d.state = stored.StateFailed
	}
	tx.countAttempt(d, &row)
	tx.move(d)
	return nil
}
