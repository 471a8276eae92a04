package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// tx is a transaction under way. What it adds to the large tables it gathers,
// and sends in one go with the COMMIT: see rows.go.
type tx struct {
	ctx   context.Context //nolint:containedctx // it is the transaction's own, and ends with it
	conn  *pgx.Conn
	store *Store
	milli int64     // the database's time as it began
	known *registry // the configuration then

	mayConfigure bool  // whether it may change the configuration
	config       int64 // the version of the configuration that this makes; 0 if it changes none
	free         span  // numbers of the line that were taken and not given out
	rows         rows
	replayed     map[int64]stored.Ended // what became of replays' deliveries; sent last
	undos        []func()
	dones        []func()
}

// span is a stretch of numbers, from first to the one before end.
type span struct{ first, end int64 }

// transaction says how a transaction begins.
type transaction struct {
	name    string
	numbers int  // of the line that it will need, as far as is known
	config  bool // whether it changes the configuration, one at a time
	first   func(*pgx.Batch)
	do      func(*tx) error
}

// write runs do as one transaction. do may be run again if the server chose the
// transaction to end a deadlock, and changes nothing but the transaction and its
// caller's results.
func (s *Store) write(ctx context.Context, name string, do func(*tx) error) error {
	return s.transact(ctx, transaction{name: name, do: do})
}

// configure is write for a change of projects, goals, webhooks or keys. When it returns,
// every node that is alive works by the change, or has lost its lease.
func (s *Store) configure(ctx context.Context, name string, do func(*tx) error) error {
	version := int64(0)
	err := s.transact(ctx, transaction{name: name, config: true, do: func(tx *tx) error {
		version = 0
		if err := do(tx); err != nil {
			return err
		}
		version = tx.config
		return nil
	}})
	if err != nil || version == 0 {
		return err
	}
	return s.spread(ctx, version)
}

const mostTries = 5

func (s *Store) transact(ctx context.Context, t transaction) error {
	if err := s.down(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return s.explain(t.name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	var err error
	for tries := 0; tries < mostTries; tries++ {
		var committing bool
		if committing, err = s.tryTransaction(ctx, t); err == nil {
			return nil
		}
		var missing missingPartition
		switch {
		case ended(err) && !committing: // the server let go of this connection, and of all that was idle beside it
			s.writers.Reset()
		case errors.As(err, &missing):
			if err = s.partitions.ensure(ctx, s.writers, int64(missing)); err != nil {
				return s.explain(t.name, err)
			}
		case isRace(err): // somebody else won it, so it does not count
			tries--
		case !isTransient(err):
			return s.explain(t.name, err)
		}
	}
	return s.explain(t.name, err)
}

// tryTransaction runs the transaction once. Whatever it began it has ended when
// it returns: a connection whose transaction did not end as it should is closed,
// and with it go its locks. committing tells of an error that nobody knows the
// outcome of: the COMMIT was sent.
func (s *Store) tryTransaction(ctx context.Context, t transaction) (committing bool, err error) {
	pooled, err := s.writers.Acquire(ctx)
	if err != nil {
		return false, err
	}
	tx := &tx{ctx: ctx, conn: pooled.Conn(), store: s, mayConfigure: t.config}
	committed := false
	defer func() {
		if !committed {
			for _, undo := range tx.undos {
				undo()
			}
		}
		finish(pooled, committed, err)
		if committed {
			for _, done := range tx.dones {
				done()
			}
		}
	}()
	if err = tx.begin(t); err != nil {
		return false, err
	}
	if err = t.do(tx); err != nil {
		return false, err
	}
	err = tx.commit()
	committed = err == nil
	return true, err
}

// finish gives back a connection, without a transaction.
func finish(c *pgxpool.Conn, committed bool, err error) {
	defer c.Release()
	if committed {
		return
	}
	var known *telltale.Error
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err == nil || !errors.As(err, &known) && !isTransient(err) && !isUnique(err) && !isRace(err) {
		_ = c.Conn().Close(ctx) // the pool drops it
		return
	}
	if _, err := c.Exec(ctx, "ROLLBACK"); err != nil {
		_ = c.Conn().Close(ctx)
	}
}

// missingPartition says that there is no partition for a day yet.
type missingPartition int64

func (m missingPartition) Error() string {
	return fmt.Sprintf("there is no partition for day %d", int64(m))
}

func (tx *tx) begin(t transaction) error {
	var version int64
	b := &pgx.Batch{}
	b.Queue("BEGIN")
	lock := ""
	if t.config {
		lock = " FOR UPDATE"
	}
	if t.numbers > 0 {
		b.Queue("SELECT telltale_now(), config, take_numbers($1) FROM meta"+lock, int64(t.numbers)).QueryRow(func(row pgx.Row) error {
			var first int64
			err := row.Scan(&tx.milli, &version, &first)
			tx.free = span{first, first + int64(t.numbers)}
			return err
		})
	} else {
		b.Queue("SELECT telltale_now(), config FROM meta" + lock).QueryRow(func(row pgx.Row) error { return row.Scan(&tx.milli, &version) })
	}
	if t.first != nil {
		t.first(b)
	}
	if err := tx.conn.SendBatch(tx.ctx, b).Close(); err != nil {
		return err
	}
	if day := dayOf(tx.milli); !tx.store.partitions.has(day) {
		return missingPartition(day)
	}
	if tx.known = tx.store.known.Load(); tx.known.version != version {
		if err := tx.store.refreshWith(tx.ctx, tx.conn); err != nil {
			return err
		}
		tx.known = tx.store.known.Load()
	}
	return nil
}

func (tx *tx) took(row pgx.Row, n int) error {
	var first int64
	if err := row.Scan(&first); err != nil {
		return err
	}
	tx.free = span{first, first + int64(n)}
	return nil
}

// need sees to it that n numbers in a row can be given out.
func (tx *tx) need(n int) error {
	if tx.free.end-tx.free.first >= int64(n) {
		return nil
	}
	return tx.took(tx.conn.QueryRow(tx.ctx, "SELECT take_numbers($1)", int64(n)), n)
}

// number gives the next number. Whoever asks has seen to it that there is one:
// see [tx.need].
func (tx *tx) number() (int64, error) {
	if tx.free.first >= tx.free.end {
		if err := tx.need(16); err != nil {
			return 0, err
		}
	}
	tx.free.first++
	return tx.free.first - 1, nil
}

// commit sends what was gathered with the COMMIT.
func (tx *tx) commit() error {
	b := &pgx.Batch{}
	if err := tx.queueRows(b); err != nil {
		return err
	}
	if tx.config != 0 {
		b.Queue("UPDATE meta SET config = $1", tx.config)
		b.Queue("SELECT pg_notify($1, $2)", channel, noteConfig)
	}
	tx.queueReplayed(b)
	b.Queue("COMMIT").Exec(func(tag commandTag) error {
		if tag.String() != "COMMIT" { // the server says so when it rolled back
			return fmt.Errorf("the transaction ended with %s", tag)
		}
		return nil
	})
	return tx.conn.SendBatch(tx.ctx, b).Close()
}

// flush sends what was gathered, so that what follows in the transaction sees it.
func (tx *tx) flush() error {
	b := &pgx.Batch{}
	if err := tx.queueRows(b); err != nil {
		return err
	}
	if b.Len() == 0 {
		return nil
	}
	return tx.conn.SendBatch(tx.ctx, b).Close()
}

// exec runs a statement and tells how many rows it touched.
func (tx *tx) exec(sql string, args ...any) (int64, error) {
	tag, err := tx.conn.Exec(tx.ctx, sql, args...)
	return tag.RowsAffected(), err
}

// one reads a row, and reports whether there is one.
func (tx *tx) one(into []any, sql string, args ...any) (found bool, err error) {
	err = tx.conn.QueryRow(tx.ctx, sql, args...).Scan(into...)
	if noRows(err) {
		return false, nil
	}
	return err == nil, err
}

// each goes through rows: see [each].
func (tx *tx) each(into []any, visit func() error, sql string, args ...any) error {
	return each(tx.ctx, tx.conn, sql, args, into, visit)
}

// onUndo registers what has to be done if the transaction does not commit, onDone
// what has if it does. Either may have been called for a try that was repeated.
func (tx *tx) onUndo(do func()) { tx.undos = append(tx.undos, do) }
func (tx *tx) onDone(do func()) { tx.dones = append(tx.dones, do) }

// changeConfig has the transaction make a new version of the configuration, and
// gives it. Only a transaction of [Store.configure] may.
func (tx *tx) changeConfig() int64 {
	if tx.config == 0 {
		tx.config = tx.known.version + 1
	}
	return tx.config
}

// presentTime is the time of the transaction, as it is stored.
func (tx *tx) presentTime() time.Time { return stored.MilliTime(tx.milli) }
