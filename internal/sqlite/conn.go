package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"zombiezen.com/go/sqlite"
)

// conn is one connection to the database with the statements that were
// prepared on it. It is used by one goroutine at a time.
type conn struct {
	*sqlite.Conn
	queries map[string]*query
}

func openConn(path string, flags sqlite.OpenFlags) (*conn, error) {
	c, err := sqlite.OpenConn(path, flags)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	// The library waits for locks without end unless told otherwise.
	c.SetBusyTimeout(time.Second)
	return &conn{Conn: c, queries: map[string]*query{}}, nil
}

// query prepares text once per connection and gives it back without arguments.
// Bindings are not cleared between uses: SQLite would plan the statement anew.
// So each use binds every parameter, and run and next check that it did.
func (c *conn) query(text string) *query {
	q := c.queries[text]
	if q == nil {
		q = &query{sql: text}
		q.stmt, q.err = c.Conn.Prepare(text)
		if q.err != nil {
			return q
		}
		c.queries[text] = q
	}
	q.bound, q.fresh = 0, true
	return q
}

// pragma runs a PRAGMA and gives the first column of its answer.
func (c *conn) pragma(text string) (string, error) {
	stmt, _, err := c.PrepareTransient("PRAGMA " + text)
	if err != nil {
		return "", fmt.Errorf("PRAGMA %s: %w", text, err)
	}
	defer stmt.Finalize() //nolint:errcheck // it repeats the error of Step
	row, err := stmt.Step()
	if err != nil {
		return "", fmt.Errorf("PRAGMA %s: %w", text, err)
	}
	if !row {
		return "", nil
	}
	return stmt.ColumnText(0), nil
}

// A query is one use of a prepared statement: arguments are bound in order,
// then it is run, or its rows are read one by one, column by column in order.
type query struct {
	sql   string
	stmt  *sqlite.Stmt
	err   error
	bound int
	fresh bool // not stepped yet
	col   int
}

func (q *query) param() (int, bool) {
	q.bound++
	return q.bound, q.err == nil
}

func (q *query) int(v int64) *query {
	if i, ok := q.param(); ok {
		q.stmt.BindInt64(i, v)
	}
	return q
}

// intOrNull binds NULL for 0.
func (q *query) intOrNull(v int64) *query {
	if v == 0 {
		return q.null()
	}
	return q.int(v)
}

func (q *query) bool(v bool) *query {
	if i, ok := q.param(); ok {
		q.stmt.BindBool(i, v)
	}
	return q
}

func (q *query) float(v float64) *query {
	if i, ok := q.param(); ok {
		q.stmt.BindFloat(i, v)
	}
	return q
}

func (q *query) text(v string) *query {
	if i, ok := q.param(); ok {
		q.stmt.BindText(i, v)
	}
	return q
}

// textOrNull binds NULL for the empty string, which takes no room in a row.
func (q *query) textOrNull(v string) *query {
	if v == "" {
		return q.null()
	}
	return q.text(v)
}

func (q *query) blob(v []byte) *query {
	if i, ok := q.param(); ok {
		q.stmt.BindBytes(i, v)
	}
	return q
}

// blobOrNull binds NULL for an empty slice.
func (q *query) blobOrNull(v []byte) *query {
	if len(v) == 0 {
		return q.null()
	}
	return q.blob(v)
}

func (q *query) null() *query {
	if i, ok := q.param(); ok {
		q.stmt.BindNull(i)
	}
	return q
}

// run executes a statement that gives no rows.
func (q *query) run() error {
	for {
		row, err := q.next()
		if err != nil || !row {
			return err
		}
	}
}

// next reads the next row. After the last one, and after an error, the
// statement is ready for another use; who stops earlier calls done.
func (q *query) next() (bool, error) {
	if q.err != nil {
		return false, q.err
	}
	if q.fresh {
		q.fresh = false
		if n := q.stmt.BindParamCount(); n != q.bound {
			return false, fmt.Errorf("%d of %d parameters are bound in %q", q.bound, n, q.sql)
		}
	}
	row, err := q.stmt.Step()
	q.col = 0
	if err == nil && row {
		return true, nil
	}
	if e := q.stmt.Reset(); err == nil && e != nil {
		err = e
	}
	if err != nil {
		return false, fmt.Errorf("%w in %q", err, q.sql)
	}
	return false, nil
}

// done ends the reading of rows before their end.
func (q *query) done() {
	if q.err == nil {
		q.stmt.Reset() //nolint:errcheck // it repeats the error of Step
	}
}

// one runs a query of at most one row; scan reads it.
func (q *query) one(scan func(*query)) (bool, error) {
	row, err := q.next()
	if err != nil || !row {
		return false, err
	}
	scan(q)
	q.done()
	return true, nil
}

// each runs the query; scan reads each row.
func (q *query) each(scan func(*query) error) error {
	for {
		row, err := q.next()
		if err != nil || !row {
			return err
		}
		if err := scan(q); err != nil {
			q.done()
			return err
		}
	}
}

func (q *query) column() int {
	q.col++
	return q.col - 1
}

func (q *query) getInt() int64     { return q.stmt.ColumnInt64(q.column()) }
func (q *query) getBool() bool     { return q.stmt.ColumnInt64(q.column()) != 0 }
func (q *query) getFloat() float64 { return q.stmt.ColumnFloat(q.column()) }
func (q *query) getText() string   { return q.stmt.ColumnText(q.column()) }

func (q *query) getBlob() []byte {
	i := q.column()
	n := q.stmt.ColumnLen(i)
	if n == 0 {
		return nil
	}
	b := make([]byte, n)
	q.stmt.ColumnBytes(i, b)
	return b
}

// getBlobInto is getBlob in the memory of b, which what it gave before loses.
func (q *query) getBlobInto(b []byte) []byte {
	i := q.column()
	b = slices.Grow(b[:0], q.stmt.ColumnLen(i))
	return b[:q.stmt.ColumnBytes(i, b[:cap(b)])]
}

// isNull looks at the coming column without taking it.
func (q *query) isNull() bool { return q.stmt.ColumnIsNull(q.col) }

// readers lends the connections that only read.
type readers struct {
	free  chan *conn
	count int           // that were opened
	gone  chan struct{} // closed when the store closes
}

func (r *readers) take(ctx context.Context) (*conn, error) {
	select {
	case c := <-r.free:
		c.SetInterrupt(ctx.Done())
		return c, nil
	case <-r.gone:
		return nil, errClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (r *readers) put(c *conn) {
	c.SetInterrupt(nil)
	r.free <- c
}

// close waits for the reads that go on.
func (r *readers) close() error {
	if r.gone != nil {
		close(r.gone)
	}
	var errs []error
	for range r.count {
		errs = append(errs, (<-r.free).Close())
	}
	return errors.Join(errs...)
}
