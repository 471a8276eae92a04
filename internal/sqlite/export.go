package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"

	"zombiezen.com/go/sqlite"

	"telltale.example/telltale"
)

// Export is a store that no server has open, for whoever puts all of it into
// another engine. What is sealed stays sealed: it needs no key.
type Export struct {
	// Salt is what ids are made with. It tells the store from all others.
	Salt []byte
	// Starts is how often a server has started on the store. So it tells whether
	// one did in between.
	Starts int64
	// Last is the number that was given out last.
	Last int64
	// OutageEnd is when the server's last outage ended, in ms.
	OutageEnd int64

	store *Store
}

// exports are the tables in the order in which they are read. A query gives the
// rows of a table under the names that the columns have in internal/postgres,
// whose tables are called as an export is; key is by what they are in order.
//
// What is found in another way there is left out: see leftOut in the tests.
var exports = []export{
	{"node", "number", `SELECT number, id, 'all' AS role, '' AS version, '' AS host, started_at, beat_at,
		coalesce(beat_at, started_at) AS lease_until, coalesce(beat_at, started_at) AS gone_at, 0 AS config, '' AS keys FROM node`, ""},
	{"project", "number", `SELECT number, id, slug, name, ingest_rate, created_at, conversion_window, view_window, 1 AS changed FROM project`, ""},
	{"api_key", "id", `SELECT id, project, name, scope, hash, created_at, last_used_at, revoked_at FROM api_key`, ""},
	{"operator", "id", `SELECT id, email, role, password_hash, theme, no_shortcuts, created_at, last_login_at, disabled_at FROM operator`, ""},
	{"session", "hash", `SELECT hash, operator, user_agent, remote_addr, created_at, seen_at, expires_at FROM session`, ""},
	{"link", "hash", `SELECT hash, purpose, operator, email, role, created_at, expires_at FROM link`, ""},
	{"webhook", "number", `SELECT number, id, project, version, url, events, description, enabled, disabled_reason, disabled_at, deleted_at, timeout, retry_schedule, rate_limit,
		concurrency, headers, basic_auth, skip_machines, extensions, legacy_signature, format, secrets, epoch, enabled_at, created_at, updated_at, 1 AS changed FROM webhook`, ""},
	{"standing", "webhook", `SELECT webhook, revision, health, last_success_at, failing_since, failures, blocked, warned, alarmed, reset_at, breaker, breaker_until,
		breaker_wait, breaker_proven, window_start, 0 AS touched_at, window AS minutes FROM standing`, ""},
	{"goal", "project, campaign", `SELECT project, campaign, event, updated_at FROM goal`, ""},
	{"own_goal", "project, event", `SELECT project, event FROM own_goal`, ""},
	{"source", "number", `SELECT number, id, project, version, token, provider, name, options, enabled, created_at, updated_at, credentials FROM source`, ""},
	{"source_tally", "source", `SELECT source, requests, events, duplicates, ignored, unrecognised, refused, last_request_at, last_event_at, last_failure_at, last_failure FROM source_tally`, ""},
	{"unrecognised_request", "number", `SELECT number, source, id, received_at, reason, content_type, hash, body FROM unrecognised_request`, ""},
	{"source_gone", "source", `SELECT source FROM source_gone`, ""},
	{"bin", "id", `SELECT id, project, created_at, expires_at, answer FROM bin`, ""},
	{"caught_request", "number", `SELECT number, bin, id, received_at, remote_addr, method, path, headers, body, truncated, verdict FROM caught_request`, ""},
	{"replay", "number", `SELECT number, id, project, target, webhook, which, types, since, until, deliveries, last, rate, state, planned, made, succeeded, failed,
		place, place_webhook, created_by, created_at, completed_at FROM replay`, ""},
	{"import", "number", `SELECT number, id, project, kind, name, conversions, state, bytes, place, rows, line, applied, refused, failure, created_by, created_at, completed_at FROM import`, ""},
	{"refused_row", "import, line", `SELECT import, line, reason, row FROM refused_row`, ""},
	{"erasure", "number", `SELECT number, id, project, known, last, events, created_by, created_at, completed_at FROM erasure`, ""},
	{"idempotency", "key", `SELECT key, content, at, answer FROM idempotency`, ""},
	{"nonce", "key", `SELECT key, content, at FROM nonce`, ""},
	{"repetition", "key", `SELECT key, expires_at FROM repetition`, ""},
	{"profile", "number", `SELECT number, project, user_id, given_id, email, unsubscribed_at, suppression, suppressed_at, created_at, updated_at, former_ids, tags, channels, properties FROM profile`, ""},
	{"profile_tag", "project, tag, profile", `SELECT project, tag, profile FROM profile_tag`, ""},
	{"profile_gone", "profile", `SELECT profile, heir FROM profile_gone`, ""},
	{"tracked_event", "number", `SELECT number, project, profile, name, (number >> 11) - occurred AS occurred_at, message, check_id, data FROM tracked_event`, ""},
	{"stat", "coarse, start, project, webhook, type", `SELECT coarse, start, project, webhook, type, counts FROM stat`, ""},
	{"audit_entry", "id", `SELECT id, project, at, actor_kind, actor_id, actor_name, remote_addr, request, action, target, name, changes FROM audit_entry`, ""},
	{"caller", "key", `SELECT key, content, event, number >> 11 AS at FROM caller`, ""},
	{"event", "number", `SELECT number, id, project, type, test, source, (number >> 11) - lag AS received_at, (number >> 11) - lag - occurred AS occurred_at, user_id, email, message_id, campaign_id,
		url, ip, machine, provider_message_id, conversion_event, caller_id, (SELECT credit FROM credit WHERE credit.event = event.number) AS credit, payload FROM event`, ""},
	{"delivery", "number", exportDeliveries, `state < 4`},
	{"delivery_done", "number", exportDeliveries, `state >= 4`},
	{"attempt", "number", `SELECT number, delivery, previous, attempt, trigger, node, started_at, duration, status, error, failure, detail, exchange, body FROM attempt`, ""},
}

const exportDeliveries = `SELECT number, event, project, webhook, type, test, state, attempts, step, tries, at, last_attempt, first_at, last_error, last_status,
	replay, claim, node, manual, epoch FROM delivery`

// export says how a table is read.
type export struct{ table, key, query, where string }

// keys gives the columns of the key.
func (e export) keys() []string { return strings.Split(e.key, ", ") }

// from gives all of the query's rows, or, in the order of the key, those behind a place.
func (e export) from(behind bool) string {
	var where []string
	if e.where != "" {
		where = append(where, e.where)
	}
	if behind {
		where = append(where, "("+e.key+") > ("+strings.TrimSuffix(strings.Repeat("?, ", len(e.keys())), ", ")+")")
	}
	text := e.query
	if len(where) > 0 {
		text += " WHERE " + strings.Join(where, " AND ")
	}
	return text + " ORDER BY " + e.key
}

// OpenExport opens the store in the file at path, which must exist and which no
// server has open, brings its schema up to date and its counts to rest, and then
// changes nothing more.
func OpenExport(ctx context.Context, path string) (*Export, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("opening the store %s: %w", path, err)
	}
	logger := slog.New(slog.DiscardHandler)
	e := &Export{store: &Store{options: Options{Logger: logger}, log: logger}}
	if err := e.open(ctx, path); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the store %s: %w", path, err), e.store.release())
	}
	return e, nil
}

func (e *Export) open(ctx context.Context, path string) (err error) {
	s := e.store
	if err := s.openFile(ctx, path); err != nil {
		return err
	}
	c := s.writer.conn
	if s.writer.meta, err = s.loadMeta(c); err != nil {
		return err
	}
	if err := s.writer.load(c); err != nil {
		return err
	}
	// What a crash left uncounted is counted now.
	tx := s.writer.begin()
	if err := c.query("BEGIN IMMEDIATE").run(); err != nil {
		return err
	}
	if err := errors.Join(tx.recount(), tx.addCounts()); err != nil {
		return errors.Join(err, c.query("ROLLBACK").run())
	}
	if err := c.query("COMMIT").run(); err != nil {
		return err
	}
	e.Salt, e.Last, e.OutageEnd = s.ids.Salt[:], s.writer.last, s.writer.meta.outageEnd
	if _, err := c.query(`SELECT coalesce(max(number), 0) FROM node`).one(func(q *query) { e.Starts = q.getInt() }); err != nil {
		return err
	}
	return settings(c, "query_only=ON")
}

// Close closes the file, and lets others open it.
func (e *Export) Close() error { return e.store.release() }

// Tables are what can be read, in the order in which it is to be.
func (e *Export) Tables() []string {
	tables := make([]string, len(exports))
	for i, x := range exports {
		tables[i] = x.table
	}
	return tables
}

// Count tells how many rows of a table are read.
func (e *Export) Count(ctx context.Context, table string) (rows int64, err error) {
	x, err := exported(table)
	if err != nil {
		return 0, err
	}
	return e.count(ctx, "the rows of "+table, `SELECT count(*) FROM (`+x.from(false)+`)`)
}

// OwnIDs tells how many profiles have an id of their own, and not the one that
// follows from their number.
func (e *Export) OwnIDs(ctx context.Context) (profiles int64, err error) {
	return e.count(ctx, "the profiles with an id of their own", `SELECT count(*) FROM profile WHERE id <> x''`)
}

// OpenImports gives the imports that have not ended, whose files are needed still.
func (e *Export) OpenImports(ctx context.Context) (ids []telltale.ImportID, err error) {
	c := e.store.writer.conn
	c.SetInterrupt(ctx.Done())
	err = c.query(`SELECT id FROM import WHERE state < 4 ORDER BY id`).each(func(q *query) error {
		ids = append(ids, telltale.ImportID(q.getText()))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking for imports that have not ended: %w", err)
	}
	return ids, nil
}

func (e *Export) count(ctx context.Context, what, text string) (n int64, err error) {
	c := e.store.writer.conn
	c.SetInterrupt(ctx.Done())
	if _, err := c.query(text).one(func(q *query) { n = q.getInt() }); err != nil {
		return 0, fmt.Errorf("counting %s: %w", what, err)
	}
	return n, nil
}

func exported(table string) (export, error) {
	i := slices.IndexFunc(exports, func(x export) bool { return x.table == table })
	if i < 0 {
		return export{}, fmt.Errorf("there is no table %q to be read", table)
	}
	return exports[i], nil
}

// ExportedRows are rows of a table, one after another.
type ExportedRows struct {
	// Columns are the names of what Values gives.
	Columns []string

	table  string
	query  *query
	key    []int // which columns are the key
	values []any
	ended  bool
	err    error
}

// Rows reads a table in the order of its key: all of it, or what lies behind the
// key of a row that was read before. One table is read at a time.
func (e *Export) Rows(ctx context.Context, table string, behind []any) (*ExportedRows, error) {
	x, err := exported(table)
	if err != nil {
		return nil, err
	}
	keys := x.keys()
	if behind != nil && len(behind) != len(keys) {
		return nil, fmt.Errorf("a key of %s has %d columns, not %d", table, len(keys), len(behind))
	}
	c := e.store.writer.conn
	c.SetInterrupt(ctx.Done())
	q := c.query(x.from(behind != nil))
	if q.err != nil {
		return nil, fmt.Errorf("reading %s: %w", table, q.err)
	}
	for _, value := range behind {
		switch v := value.(type) {
		case int64:
			q.int(v)
		case string:
			q.text(v)
		case []byte:
			q.blob(v)
		default:
			return nil, fmt.Errorf("a key of %s is no %T", table, v)
		}
	}
	r := &ExportedRows{table: table, query: q, values: make([]any, q.stmt.ColumnCount())}
	for i := range r.values {
		r.Columns = append(r.Columns, q.stmt.ColumnName(i))
	}
	for _, key := range keys {
		r.key = append(r.key, slices.Index(r.Columns, key))
	}
	return r, nil
}

// Next goes to the next row, if there is one.
func (r *ExportedRows) Next() bool {
	if r.ended {
		return false
	}
	more, err := r.query.next()
	if err != nil {
		r.err = fmt.Errorf("reading %s: %w", r.table, err)
	}
	if !more {
		r.ended = true
		return false
	}
	for i := range r.values {
		switch r.query.stmt.ColumnType(i) {
		case sqlite.TypeInteger:
			r.values[i] = r.query.getInt()
		case sqlite.TypeFloat:
			r.values[i] = r.query.getFloat()
		case sqlite.TypeText:
			r.values[i] = r.query.getText()
		case sqlite.TypeBlob:
			if r.values[i] = r.query.getBlob(); r.values[i].([]byte) == nil {
				r.values[i] = []byte{}
			}
		default:
			r.values[i] = nil
			r.query.column()
		}
	}
	return true
}

// Values gives the row's values: nil, int64, float64, string or []byte. The slice
// is used again for the next row.
func (r *ExportedRows) Values() []any { return r.values }

// Key puts the row's key into the slice and gives it.
func (r *ExportedRows) Key(into []any) []any {
	into = into[:0]
	for _, i := range r.key {
		into = append(into, r.values[i])
	}
	return into
}

// Err tells why there was no next row, or nil at the end.
func (r *ExportedRows) Err() error { return r.err }

// Close ends the reading, wherever it stands.
func (r *ExportedRows) Close() { r.query.done() }
