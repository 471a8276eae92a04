package postgres

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/failpoint"
	"telltale.example/telltale/internal/stored"
)

// due tells, of webhooks by number, which waiting delivery is due next, of first
// attempts and of retries, and whether held ones are to be released. It looks
// from the beginning of the queues, or behind heads and only then from there.
func due(where string, heads bool) string {
	next := func(kind, head string) string {
		queue := `(SELECT d.at, d.number FROM delivery d WHERE d.state = 2 AND d.webhook = w.number AND d.epoch = w.epoch AND least(d.attempts, 1) = ` + kind + `%s ORDER BY d.at, d.number LIMIT 1)`
		start := fmt.Sprintf(queue, "")
		if !heads {
			return start
		}
		return `(SELECT * FROM (` + fmt.Sprintf(queue, ` AND (d.at, d.number) > (`+head+`)`) + ` UNION ALL ` + start + `) queue LIMIT 1)`
	}
	return `SELECT w.number, first.at, first.number, retry.at, retry.number,
		EXISTS (SELECT 1 FROM delivery d WHERE d.state = 2 AND d.webhook = w.number AND d.epoch < w.epoch)
		FROM ` + where + ` LEFT JOIN LATERAL ` + next("0", "h.first_at, h.first_number") + ` first ON true LEFT JOIN LATERAL ` + next("1", "h.retry_at, h.retry_number") + ` retry ON true
		WHERE w.enabled AND w.deleted_at IS NULL`
}

var (
	dueOfAll  = due(`webhook w`, false) + ` ORDER BY w.number`
	dueBehind = due(`unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) AS h(webhook, first_at, first_number, retry_at, retry_number) JOIN webhook w ON w.number = h.webhook`, true)
)

// scannedDue is a row of that.
type scannedDue struct {
	number       int64
	first, retry scannedPosition
	held         bool
}

// scannedPosition is a position in a queue, or nothing.
type scannedPosition struct{ at, number *int64 }

func (r *scannedDue) into() []any {
	return []any{&r.number, &r.first.at, &r.first.number, &r.retry.at, &r.retry.number, &r.held}
}

func (r *scannedDue) lane(w *webhook, milli int64) telltale.LaneDue {
	lane := telltale.LaneDue{Webhook: w.now(), In: telltale.Never, Held: r.held}
	for _, next := range []scannedPosition{r.first, r.retry} {
		if next.at != nil {
			lane.In = min(lane.In, max(0, time.Duration(*next.at-milli)*time.Millisecond))
		}
	}
	return lane
}

// DueWebhooks also brings the standings up to date that other nodes wrote, and
// takes heads back.
func (s *Store) DueWebhooks(ctx context.Context) ([]telltale.LaneDue, error) {
	known, err := s.configured(ctx)
	if err != nil {
		return nil, err
	}
	found := make([]telltale.LaneDue, 0, len(known.allByNumb))
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
		return each(ctx, q, dueOfAll, nil, row.into(), func() error {
			if w := known.hooks[row.number]; w != nil {
				found = append(found, row.lane(w, milli))
			}
			s.heads.look(&row)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// claimable picks what is claimed for lanes, past what others are claiming: of
// what was held as much as the lane says, then first attempts, then retries, both
// behind their heads. Each lane gets no more than its slots of each; what is too
// much is left.
const claimable = `WITH lane AS MATERIALIZED (
	SELECT u.lane, w.number, w.epoch, u.slots, least(u.held, u.slots) AS held,
		CASE WHEN w.epoch = u.epoch THEN u.head_at ELSE 0 END AS head_at, CASE WHEN w.epoch = u.epoch THEN u.head_number ELSE 0 END AS head_number
	FROM unnest($1::integer[], $2::text[], $3::integer[], $4::integer[], $5::bigint[], $6::bigint[], $7::bigint[]) AS u(lane, id, slots, held, epoch, head_at, head_number)
	JOIN webhook w ON w.id = u.id WHERE w.enabled AND w.deleted_at IS NULL)
SELECT lane.lane, lane.slots, p.* FROM lane CROSS JOIN LATERAL `

const (
	claimHeld = claimable + `(SELECT ` + openColumns + ` FROM delivery WHERE state = 2 AND webhook = lane.number AND epoch < lane.epoch
		ORDER BY epoch, least(attempts, 1), at, number LIMIT lane.held FOR UPDATE SKIP LOCKED) p`
	claimFirst = claimable + `(SELECT ` + openColumns + ` FROM delivery WHERE state = 2 AND webhook = lane.number AND epoch = lane.epoch AND least(attempts, 1) = 0 AND at <= telltale_now() AND (at, number) > (lane.head_at, lane.head_number)
		ORDER BY at, number LIMIT lane.slots FOR UPDATE SKIP LOCKED) p`
	claimRetries = claimable + `(SELECT ` + openColumns + ` FROM delivery WHERE state = 2 AND webhook = lane.number AND epoch = lane.epoch AND least(attempts, 1) = 1 AND at <= telltale_now() AND (at, number) > (lane.head_at, lane.head_number)
		ORDER BY at, number LIMIT lane.slots FOR UPDATE SKIP LOCKED) p`
)

func (s *Store) ClaimDue(ctx context.Context, lanes []telltale.LaneRoom) ([]telltale.LaneClaims, error) {
	var claimed []telltale.LaneClaims
	n := len(lanes)
	index, ids, slots, held, heads := make([]int64, n), make([]string, n), make([]int64, n), make([]int64, n), make([]head, n)
	known := s.known.Load()
	for i, l := range lanes {
		index[i], ids[i], slots[i], held[i] = int64(i), string(l.WebhookID), int64(max(l.Slots, 0)), int64(max(l.Held, 0))
		if w := known.webhook(l.WebhookID); w != nil {
			heads[i] = s.heads.of(w)
		}
	}
	behind := columnsOfHeads(heads)
	queries := [...]struct {
		sql        string
		at, number []int64
	}{
		{claimHeld, behind.none, behind.none}, {claimFirst, behind.firstAt, behind.firstNumber}, {claimRetries, behind.retryAt, behind.retryNumber},
	}
	var picked [][]*deliveryRow
	err := s.transact(ctx, transaction{
		name: "claiming deliveries", numbers: 1,
		first: func(b *pgx.Batch) {
			picked = make([][]*deliveryRow, len(lanes))
			for _, query := range queries {
				b.Queue(query.sql, index, ids, slots, held, behind.epoch, query.at, query.number).Query(func(rows pgx.Rows) error {
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
			if claimed, err = tx.claim(lanes, heads, picked); err != nil {
				return err
			}
			if slices.ContainsFunc(claimed, func(l telltale.LaneClaims) bool { return len(l.Claims) > 0 }) {
				failpoint.Here("claim-uncommitted")
			}
			return nil
		},
	})
	if err != nil {
		return nil, err
	}
	return claimed, nil
}

// claim gives what was picked to this node, and tells what is left.
func (tx *tx) claim(lanes []telltale.LaneRoom, heads []head, picked [][]*deliveryRow) ([]telltale.LaneClaims, error) {
	claimed := make([]telltale.LaneClaims, len(lanes))
	var numbers, events, replays, webhooks []int64
	var after []head // of the webhooks
	for i, l := range lanes {
		claimed[i].In = telltale.Never
		if w := tx.known.webhook(l.WebhookID); w != nil {
			claimed[i].Webhook = w.now()
			webhooks, after = append(webhooks, w.number), append(after, heads[i].past(picked[i], w.epoch))
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
	behind := columnsOfHeads(after)
	b.Queue(dueBehind, webhooks, behind.firstAt, behind.firstNumber, behind.retryAt, behind.retryNumber).Query(func(rows pgx.Rows) error {
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
			head := after[slices.Index(webhooks, w.number)].facing(&row)
			tx.onDone(func() { tx.store.heads.set(w.number, head) })
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
	failpoint.Here("take-over-uncommitted")
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
