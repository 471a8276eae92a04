package postgres

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// Loader fills an empty database with the rows of another engine's store. Rows
// keep their numbers, and with the salt their ids, and what is sealed stays
// sealed.
//
// They come in portions, each of which is one transaction that also notes the key
// of its last row. So whatever ends a loader, the next one goes on behind what is
// there, and no row comes twice or is left out. As long as the move has not
// ended, no node works on the database.
type Loader struct {
	conn   *pgx.Conn
	origin Origin
	days   map[int64]bool // that have their partitions
}

// Origin tells which store a database is filled from.
type Origin struct {
	Salt      []byte // which tells the store from all others
	Starts    int64  // how often a server has started on it: whether it was changed in between
	Last      int64  // the last number of its line
	OutageEnd int64  // when its last outage ended, in ms
	Portion   int    // the most rows of a transaction; 0 stands for [DefaultPortion]
}

// LoadedRows are rows of a table, one after another: the values nil, int64,
// float64, string or []byte, of the columns that are named with them.
type LoadedRows interface {
	Next() bool
	Values() []any
	// Key puts the values by which the rows are in order into the slice.
	Key(into []any) []any
	Err() error
}

// Bounds of a portion: they bound what is copied again after a crash.
const (
	DefaultPortion = 5000    // rows
	portionBytes   = 8 << 20 // of text and the like
)

// ImportChunks is the table of the files of imports, of which each row has so many
// bytes but the last of a file: see importfile.go.
const (
	ImportChunks     = "import_chunk"
	ImportChunkBytes = chunkBytes
)

// moveLock keeps two loaders apart, as long as their connections last: the server
// takes a moment to see that one was killed.
const (
	moveLock    = 7823641003
	endingLimit = 3 * time.Second
)

var errMoving = errors.New("a store is being moved into this database, and not all of it is here: run telltale move again until it says that it is done, or name another database")

// OpenLoader begins, or goes on, to fill the database that url names with the
// store. Conflict, unless its tables of those names have no rows, or all that they
// have comes of that store as it is now.
func OpenLoader(ctx context.Context, url string, origin Origin, tables []string) (*Loader, error) {
	if origin.Portion == 0 {
		origin.Portion = DefaultPortion
	}
	l := &Loader{origin: origin, days: map[int64]bool{}}
	if err := l.open(ctx, url, tables); err != nil {
		var refused *telltale.Error
		if !errors.As(err, &refused) {
			err = fmt.Errorf("moving a store to %s: %w", Location(url), err)
		}
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Loader) open(ctx context.Context, url string, tables []string) error {
	if err := CheckServer(ctx, url); err != nil {
		return err
	}
	if _, err := Migrate(ctx, url); err != nil {
		return err
	}
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return err
	}
	setParameters(config.RuntimeParams, writerName+" move", 0)
	config.RuntimeParams["lock_timeout"] = strconv.FormatInt(endingLimit.Milliseconds(), 10)
	config.RuntimeParams["idle_in_transaction_session_timeout"] = "0" // a portion takes as long as its rows take to be read
	if l.conn, err = pgx.ConnectConfig(ctx, config); err != nil {
		return err
	}
	_, err = l.conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, int64(moveLock))
	if sqlState(err) == "55P03" {
		return telltale.Errorf(telltale.Conflict, "A store is being moved into this database right now, by the session whose application_name is %q.", writerName+" move")
	}
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, l.conn, func(t pgx.Tx) error { return l.begin(ctx, t, tables) })
}

// begin takes the database for this move.
func (l *Loader) begin(ctx context.Context, t pgx.Tx, tables []string) error {
	var salt []byte
	var starts int64
	var completed *int64
	err := t.QueryRow(ctx, `SELECT salt, starts, completed_at FROM move`).Scan(&salt, &starts, &completed)
	switch {
	case noRows(err):
	case err != nil:
		return err
	case !bytes.Equal(salt, l.origin.Salt):
		return telltale.Errorf(telltale.Conflict, "Another store was moved into this database: name one that is empty.")
	case completed != nil:
		return telltale.Errorf(telltale.Conflict, "This store was moved into this database already, on %s: nothing is left to do.", stored.MilliTime(*completed).Format("2006-01-02 15:04:05Z"))
	case starts != l.origin.Starts:
		return telltale.Errorf(telltale.Conflict, "The store was opened by a server since the move began, so what was moved may have changed: begin anew with an empty database.")
	default:
		return nil
	}
	var full []string
	for _, table := range tables {
		var some bool
		if err := t.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM `+pgx.Identifier{table}.Sanitize()+`)`).Scan(&some); err != nil {
			return err
		}
		if some {
			full = append(full, table)
		}
	}
	if len(full) > 0 {
		return telltale.Errorf(telltale.Conflict, "The database is not empty: there are rows in %s. Name one that no server has used.", strings.Join(full[:min(len(full), 3)], ", "))
	}
	if _, err := t.Exec(ctx, `INSERT INTO move (salt, starts, began_at) VALUES ($1, $2, telltale_now())`, l.origin.Salt, l.origin.Starts); err != nil {
		return err
	}
	_, err = t.Exec(ctx, `UPDATE meta SET salt = $1, outage_end = $2`, l.origin.Salt, l.origin.OutageEnd)
	return err
}

// Close ends the connection. What was not ended can be gone on with.
func (l *Loader) Close() error {
	if l.conn == nil {
		return nil
	}
	return l.conn.Close(context.Background())
}

// Place tells how many rows of the table are here, and the key of the last of
// them; nil if none is.
func (l *Loader) Place(ctx context.Context, table string) (rows int64, key []any, err error) {
	var place string
	err = l.conn.QueryRow(ctx, `SELECT rows, place FROM move_table WHERE name = $1`, table).Scan(&rows, &place)
	if noRows(err) {
		return 0, nil, nil
	}
	if err == nil {
		key, err = parsePlace(place)
	}
	if err != nil {
		return 0, nil, fmt.Errorf("finding out how much of %s is moved: %w", table, err)
	}
	return rows, key, nil
}

// Copy adds rows to the table, behind those that are here already, and tells moved
// how many are here after each portion.
func (l *Loader) Copy(ctx context.Context, table string, columns []string, rows LoadedRows, moved func(rows int64)) error {
	types, err := l.types(ctx, table, columns)
	if err != nil {
		return err
	}
	total, _, err := l.Place(ctx, table)
	if err != nil {
		return err
	}
	p := &portion{rows: rows, most: l.origin.Portion, types: types, number: -1}
	if slices.Contains(partitioned, table) {
		p.number = slices.Index(columns, "number")
	}
	for p.ahead() {
		if p.number >= 0 {
			if err := l.ensureDay(ctx, p.dayAhead()); err != nil {
				return err
			}
		}
		p.begin()
		err := pgx.BeginFunc(ctx, l.conn, func(t pgx.Tx) error {
			_, err := t.CopyFrom(ctx, pgx.Identifier{table}, columns, p)
			if p.Err() != nil { // the server only hears that there is one
				return p.Err()
			}
			if err != nil {
				return err
			}
			place, err := formatPlace(p.key)
			if err != nil {
				return err
			}
			_, err = t.Exec(ctx, `INSERT INTO move_table (name, place, rows) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE SET place = excluded.place, rows = excluded.rows`,
				table, place, total+int64(p.count))
			return err
		})
		if err != nil {
			return fmt.Errorf("moving %s: %w", table, err)
		}
		total += int64(p.count)
		moved(total)
	}
	return rows.Err()
}

func (l *Loader) ensureDay(ctx context.Context, day int64) error {
	if l.days[day] {
		return nil
	}
	l.days[day] = true
	return makePartitions(ctx, l.conn, day)
}

// portion is the source of one COPY after another: it ends for a moment where a
// transaction is long enough, and before a day for which there may be no
// partition yet.
type portion struct {
	rows    LoadedRows
	most    int // rows
	types   []columnType
	number  int // which column is the number of a partitioned row; -1 if none is
	pending bool
	day     int64 // of what goes into this portion
	count   int
	bytes   int
	key     []any // of the last row in it
	values  []any
	err     error
}

// ahead goes to the next row, unless it stands there already.
func (p *portion) ahead() bool {
	p.pending = p.pending || p.rows.Next()
	return p.pending
}

func (p *portion) dayAhead() int64 {
	number, _ := p.rows.Values()[p.number].(int64)
	return dayOf(stored.NumberMilli(number))
}

func (p *portion) begin() {
	p.count, p.bytes = 0, 0
	if p.number >= 0 {
		p.day = p.dayAhead()
	}
}

// Next takes the next row into the portion.
func (p *portion) Next() bool {
	if p.err != nil || p.count >= p.most || p.bytes >= portionBytes || !p.ahead() || p.number >= 0 && p.dayAhead() != p.day {
		return false
	}
	p.pending = false
	p.key = p.rows.Key(p.key)
	p.values = p.values[:0]
	for i, value := range p.rows.Values() {
		made, err := p.types[i].of(value)
		if err != nil {
			p.err = fmt.Errorf("the row %v: %w", p.key, err)
			return false
		}
		switch v := made.(type) {
		case string:
			p.bytes += len(v)
		case []byte:
			p.bytes += len(v)
		}
		p.values = append(p.values, made)
	}
	p.count++
	return true
}

// Values gives the row as the database takes it.
func (p *portion) Values() ([]any, error) { return p.values, nil }

// Err tells why the portion has no more rows; nil if there are too many for it.
func (p *portion) Err() error {
	if p.err != nil {
		return p.err
	}
	return p.rows.Err()
}

// columnType is what a column of the database holds.
type columnType uint32

const (
	columnBool  columnType = pgtype.BoolOID
	columnInt2  columnType = pgtype.Int2OID
	columnInt4  columnType = pgtype.Int4OID
	columnInt8  columnType = pgtype.Int8OID
	columnFloat columnType = pgtype.Float8OID
	columnText  columnType = pgtype.TextOID
	columnBytes columnType = pgtype.ByteaOID
)

// types looks at the columns that a table is to be filled in: all that have to be
// filled must be among them.
func (l *Loader) types(ctx context.Context, table string, columns []string) ([]columnType, error) {
	found := map[string]columnType{}
	var name string
	var of columnType
	var needed bool
	err := each(ctx, l.conn, `SELECT attname, atttypid, attnotnull AND NOT atthasdef AND attidentity = '' FROM pg_attribute
		WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped`, []any{pgx.Identifier{table}.Sanitize()}, []any{&name, (*uint32)(&of), &needed}, func() error {
		found[name] = of
		if needed && !slices.Contains(columns, name) {
			return fmt.Errorf("nothing is given for the column %s", name)
		}
		return nil
	})
	types := make([]columnType, len(columns))
	for i, column := range columns {
		types[i] = found[column]
		if _, ok := found[column]; err == nil && !ok {
			err = fmt.Errorf("there is no column %s", column)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the table %s: %w", table, err)
	}
	return types, nil
}

// of makes what the column holds of what another engine had.
func (t columnType) of(value any) (any, error) {
	switch v := value.(type) {
	case nil:
		return nil, nil
	case int64:
		switch t {
		case columnBool:
			return v != 0, nil
		case columnInt2, columnInt4, columnInt8:
			return v, nil
		case columnFloat:
			return float64(v), nil
		}
	case float64:
		if t == columnFloat {
			return v, nil
		}
	case string:
		switch t {
		case columnText:
			return clean(v), nil
		case columnBytes:
			return []byte(v), nil
		}
	case []byte:
		if t == columnBytes {
			return v, nil
		}
	}
	return nil, fmt.Errorf("a %T does not go into a column of type %d", value, t)
}

// Places are JSON: numbers as they are, and text and bytes in base64, with a
// letter before that tells which.

func formatPlace(key []any) (string, error) {
	list := make([]any, len(key))
	for i, value := range key {
		switch v := value.(type) {
		case int64:
			list[i] = v
		case string:
			list[i] = "t" + base64.StdEncoding.EncodeToString([]byte(v))
		case []byte:
			list[i] = "b" + base64.StdEncoding.EncodeToString(v)
		default:
			return "", fmt.Errorf("a key has a %T", value)
		}
	}
	text, err := json.Marshal(list)
	return string(text), err
}

func parsePlace(place string) ([]any, error) {
	d := json.NewDecoder(strings.NewReader(place))
	d.UseNumber()
	var key []any
	if err := d.Decode(&key); err != nil {
		return nil, fmt.Errorf("the place %q: %w", place, err)
	}
	for i, value := range key {
		var err error
		switch v := value.(type) {
		case json.Number:
			key[i], err = v.Int64()
		case string:
			var decoded []byte
			decoded, err = base64.StdEncoding.DecodeString(v[min(1, len(v)):])
			if key[i] = decoded; strings.HasPrefix(v, "t") {
				key[i] = string(decoded)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("the place %q: %w", place, err)
		}
	}
	return key, nil
}

// Settle has what the database makes by itself go on behind what was moved: the
// numbers of rows, the line of numbers, and what it knows of its tables to find
// ways through them.
func (l *Loader) Settle(ctx context.Context, tables []string) error {
	last := l.origin.Last
	for _, table := range tables {
		quoted := pgx.Identifier{table}.Sanitize()
		var sequence *string
		err := l.conn.QueryRow(ctx, `SELECT pg_get_serial_sequence($1, attname) FROM pg_attribute WHERE attrelid = $1::regclass AND attidentity <> ''`, quoted).Scan(&sequence)
		if err != nil && !noRows(err) {
			return fmt.Errorf("settling %s: %w", table, err)
		}
		if sequence != nil {
			if _, err := l.conn.Exec(ctx, `SELECT setval($1::regclass, max(number)) FROM `+quoted, *sequence); err != nil {
				return fmt.Errorf("settling %s: %w", table, err)
			}
		}
		if _, err := l.conn.Exec(ctx, `ANALYZE `+quoted); err != nil {
			return fmt.Errorf("settling %s: %w", table, err)
		}
	}
	if _, err := l.conn.Exec(ctx, `SELECT setval('line', greatest($1, last_value)) FROM line`, last); err != nil {
		return fmt.Errorf("settling the line of numbers: %w", err)
	}
	return nil
}

// Comparison is what there is of a table in the other store, and here.
type Comparison struct {
	Table       string
	Rows, Moved int64
	States      []StateCount // if the rows have one
	Differing   []string     // columns that do not add up to the same
}

// StateCount is how many rows are in a state, in the other store and here.
type StateCount struct {
	State       string
	Rows, Moved int64
}

// movedStates are the words for the states of a table's rows.
var movedStates = map[string]func(int64) string{
	"delivery":      deliveryWord,
	"delivery_done": deliveryWord,
	"replay":        func(code int64) string { return string(stored.Word(stored.ReplayStates, code)) },
	"import":        func(code int64) string { return string(stored.Word(stored.ImportStates, code)) },
}

// deliveryWord is the state in the row: what is shown may follow from the webhook.
func deliveryWord(code int64) string {
	switch code {
	case stored.StateWaiting:
		return string(telltale.StateWaiting)
	case stored.StateSending:
		return string(telltale.StateSending)
	case stored.StateSucceeded:
		return string(telltale.StateSucceeded)
	case stored.StateFailed:
		return string(telltale.StateFailed)
	case stored.StateCancelled:
		return string(telltale.StateCancelled)
	}
	return ""
}

// Same reports whether nothing differs.
func (c *Comparison) Same() bool { return c.Rows == c.Moved && len(c.Differing) == 0 }

// Compare holds what the other store has of the table, which rows gives once more,
// against what is here: how many rows there are, and what each column comes to if
// lengths, ends and remainders are added up. It tells seen how many rows it has
// been through.
func (l *Loader) Compare(ctx context.Context, table string, columns []string, rows LoadedRows, seen func(rows int64)) (Comparison, error) {
	c := Comparison{Table: table}
	types, err := l.types(ctx, table, columns)
	if err != nil {
		return c, err
	}
	there := make([]int64, len(columns))
	state := -1
	if movedStates[table] != nil {
		state = slices.Index(columns, "state")
	}
	states := map[int64]*StateCount{}
	of := func(code any) *StateCount {
		n, _ := code.(int64)
		if states[n] == nil {
			states[n] = &StateCount{State: movedStates[table](n)}
		}
		return states[n]
	}
	for rows.Next() {
		for i, value := range rows.Values() {
			made, err := types[i].of(value)
			if err != nil {
				return c, fmt.Errorf("comparing %s: %w", table, err)
			}
			there[i] += measure(made)
			if i == state {
				of(value).Rows++
			}
		}
		c.Rows++
		if c.Rows%DefaultPortion == 0 {
			seen(c.Rows)
		}
	}
	if err := rows.Err(); err != nil {
		return c, err
	}
	seen(c.Rows)
	here := make([]int64, len(columns))
	into := []any{&c.Moved}
	query := `SELECT count(*)`
	for i, column := range columns {
		query += `, coalesce(sum(` + types[i].measure(pgx.Identifier{column}.Sanitize()) + `), 0)::bigint`
		into = append(into, &here[i])
	}
	from := ` FROM ` + pgx.Identifier{table}.Sanitize()
	if err := l.conn.QueryRow(ctx, query+from).Scan(into...); err != nil {
		return c, fmt.Errorf("comparing %s: %w", table, err)
	}
	for i, column := range columns {
		if here[i] != there[i] {
			c.Differing = append(c.Differing, column)
		}
	}
	if state < 0 {
		return c, nil
	}
	var code, count int64
	err = each(ctx, l.conn, `SELECT state, count(*)`+from+` GROUP BY state`, nil, []any{&code, &count}, func() error { of(code).Moved = count; return nil })
	if err != nil {
		return c, fmt.Errorf("comparing %s: %w", table, err)
	}
	for _, code := range slices.Sorted(maps.Keys(states)) {
		c.States = append(c.States, *states[code])
	}
	return c, nil
}

// A measure is a small number that is made of a value, alike here and by the
// server; 0 only for what is not there.
const (
	measureRemainder = 1_000_003
	measureEnd       = 3 // bytes
)

func measure(value any) int64 {
	switch v := value.(type) {
	case bool:
		if v {
			return 2
		}
		return 1
	case int64:
		return 1 + v%measureRemainder
	case float64:
		return measure(binary.BigEndian.AppendUint64(nil, math.Float64bits(v)))
	case string:
		return measure([]byte(v))
	case []byte:
		return 1 + 7*int64(len(v)) + leading(v) + leading(v[max(0, len(v)-measureEnd):])
	}
	return 0
}

// leading is the number that the first bytes are.
func leading(b []byte) int64 {
	var n [4]byte
	copy(n[1:1+measureEnd], b)
	return int64(binary.BigEndian.Uint32(n[:]))
}

// measure is SQL for the measure of a column.
func (t columnType) measure(column string) string {
	ofBytes := func(b string) string {
		leading := func(b string) string { return `('x' || encode(substr(` + b + `, 1, 3), 'hex'))::bit(24)::integer` }
		return `(1 + 7 * octet_length(` + b + `) + ` + leading(b) + ` + ` + leading(`substr(`+b+`, greatest(octet_length(`+b+`) - 2, 1))`) + `)::bigint`
	}
	switch t {
	case columnBool:
		return `(1 + ` + column + `::integer)::bigint`
	case columnFloat:
		return ofBytes(`float8send(` + column + `)`)
	case columnText:
		return ofBytes(`convert_to(` + column + `, 'UTF8')`)
	case columnBytes:
		return ofBytes(column)
	}
	return fmt.Sprintf(`(1 + %s::bigint %% %d)`, column, measureRemainder)
}

// Complete ends the move: nodes may work on the database from now on.
func (l *Loader) Complete(ctx context.Context) error {
	if _, err := l.conn.Exec(ctx, `UPDATE move SET completed_at = telltale_now()`); err != nil {
		return fmt.Errorf("ending the move: %w", err)
	}
	return nil
}
