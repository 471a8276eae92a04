package sqlite

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// keptBytes bounds what one transaction removes of the bodies that sources keep.
const keptBytes = 16 << 20

func (s *Store) CreateSource(ctx context.Context, src telltale.Source) (*telltale.Source, error) {
	made := stored.CloneSource(src)
	made.Tally = telltale.SourceTally{}
	row, err := stored.SealSource(s.options.Sealer, made)
	if err != nil {
		return nil, err
	}
	actor := telltale.ActorOf(ctx)
	err = s.write(ctx, "creating a source", len(row.Credentials)+1000, func(tx *tx) error {
		p := tx.project(made.ProjectID)
		if p == nil {
			return notFound("project")
		}
		count := 0
		_, err := tx.query(`SELECT count(*) FROM source WHERE project = ?`).int(p.number).one(func(q *query) { count = int(q.getInt()) })
		if err != nil {
			return err
		}
		if count >= telltale.MaxSources {
			return telltale.Errorf(telltale.Conflict, "The project has %d sources already; delete one that is not used any more.", count)
		}
		q := tx.change(`INSERT INTO source (id, project, version, token, provider, created_at, updated_at, name, options, enabled, credentials) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`).
			text(string(made.ID)).int(p.number).int(made.Version).text(string(made.Token)).text(made.Provider).int(stored.TimeMilli(made.CreatedAt)).int(stored.TimeMilli(made.UpdatedAt))
		err = bindSource(q, made, row).run()
		if isConstraint(err) {
			return telltale.Errorf(telltale.Conflict, "There is a source %s already.", made.ID)
		}
		if err != nil {
			return fmt.Errorf("source %s: %w", made.ID, err)
		}
		if err := tx.change(`INSERT INTO source_tally (source) VALUES (?)`).int(tx.conn.LastInsertRowID()).run(); err != nil {
			return fmt.Errorf("source %s: its tally: %w", made.ID, err)
		}
		return tx.audit(actor, telltale.AuditEntry{
			ProjectID: made.ProjectID, Action: telltale.AuditSourceCreated, Target: string(made.ID), Name: made.Name, Changes: telltale.SourceChanges(nil, made),
		})
	})
	if err != nil {
		return nil, err
	}
	return made, nil
}

// bindSource binds the settings of a source, in the order of the statements.
func bindSource(q *query, src *telltale.Source, row stored.SourceRow) *query {
	return q.text(src.Name).textOrNull(row.Options).bool(src.Enabled).blobOrNull(row.Credentials)
}

const sourceColumns = `SELECT s.number, s.id, s.project, s.version, s.token, s.provider, s.created_at, s.updated_at, s.name, s.options, s.enabled, s.credentials,
	t.requests, t.events, t.duplicates, t.ignored, t.unrecognised, t.refused, t.last_request_at, t.last_event_at, t.last_failure_at, t.last_failure
	FROM source s JOIN source_tally t ON t.source = s.number`

func (s *Store) scanSource(q *query) (number int64, src *telltale.Source, err error) {
	number = q.getInt()
	src = &telltale.Source{ID: telltale.SourceID(q.getText()), ProjectID: s.known.projectByNumber(q.getInt()).now.Load().ID}
	src.Version, src.Token, src.Provider = q.getInt(), telltale.SourceToken(q.getText()), q.getText()
	src.CreatedAt, src.UpdatedAt, src.Name = stored.MilliTime(q.getInt()), stored.MilliTime(q.getInt()), q.getText()
	row := stored.SourceRow{Options: q.getText()}
	src.Enabled = q.getBool()
	row.Credentials = q.getBlob()
	t := &src.Tally
	t.Requests, t.Events, t.Duplicates, t.Ignored, t.Unrecognised, t.Refused = q.getInt(), q.getInt(), q.getInt(), q.getInt(), q.getInt(), q.getInt()
	t.LastRequestAt, t.LastEventAt, t.LastFailureAt, t.LastFailure = stored.MilliTime(q.getInt()), stored.MilliTime(q.getInt()), stored.MilliTime(q.getInt()), q.getText()
	return number, src, row.Open(s.options.Sealer, src)
}

// source reads a source of a project; NotFound.
func (s *Store) source(c *conn, project telltale.ProjectID, id telltale.SourceID) (number int64, src *telltale.Source, err error) {
	var broken error
	found, err := c.query(sourceColumns + ` WHERE s.id = ?`).text(string(id)).one(func(q *query) { number, src, broken = s.scanSource(q) })
	if err != nil || broken != nil {
		return 0, nil, errors.Join(err, broken)
	}
	if !found || src.ProjectID != project {
		return 0, nil, notFound("source")
	}
	return number, src, nil
}

func (s *Store) Source(ctx context.Context, project telltale.ProjectID, id telltale.SourceID) (src *telltale.Source, err error) {
	err = s.read(ctx, "reading a source", func(c *conn) (err error) {
		_, src, err = s.source(c, project, id)
		return err
	})
	return src, err
}

func (s *Store) SourceByToken(ctx context.Context, token telltale.SourceToken) (src *telltale.Source, err error) {
	err = s.read(ctx, "finding a source", func(c *conn) error {
		var broken error
		found, err := c.query(sourceColumns + ` WHERE s.token = ?`).text(string(token)).one(func(q *query) { _, src, broken = s.scanSource(q) })
		if err == nil && !found {
			return notFound("source")
		}
		return errors.Join(err, broken)
	})
	if err != nil {
		return nil, err
	}
	return src, nil
}

func (s *Store) Sources(ctx context.Context, project telltale.ProjectID, page telltale.Page) (sources []*telltale.Source, err error) {
	if err := s.down(); err != nil {
		return nil, err
	}
	p := s.known.project(project)
	if p == nil {
		return nil, nil
	}
	err = s.read(ctx, "listing sources", func(c *conn) error {
		l := list{page: page, key: "s.id"}
		l.where("s.project = ?", p.number)
		l.pageByText()
		return l.each(c, sourceColumns, func(q *query) error {
			_, src, err := s.scanSource(q)
			sources = append(sources, src)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return newestFirst(sources, page), nil
}

func (s *Store) UpdateSource(ctx context.Context, wanted telltale.Source) (*telltale.Source, error) {
	wanted = *stored.CloneSource(wanted)
	row, err := stored.SealSource(s.options.Sealer, &wanted)
	if err != nil {
		return nil, err
	}
	actor := telltale.ActorOf(ctx)
	var made *telltale.Source
	err = s.write(ctx, "updating a source", len(row.Credentials)+1000, func(tx *tx) error {
		number, before, err := s.source(tx.conn, wanted.ProjectID, wanted.ID)
		if err != nil {
			return err
		}
		if before.Version != wanted.Version {
			return changedMeanwhile("source", before.Version, wanted.Version)
		}
		after := *before
		after.Name, after.Credentials, after.Options, after.Enabled = wanted.Name, wanted.Credentials, wanted.Options, wanted.Enabled
		after.Version, after.UpdatedAt = before.Version+1, tx.presentTime()
		q := tx.change(`UPDATE source SET version = ?, updated_at = ?, name = ?, options = ?, enabled = ?, credentials = ? WHERE number = ?`).
			int(after.Version).int(tx.milli)
		if err := bindSource(q, &after, row).int(number).run(); err != nil {
			return fmt.Errorf("source %s: %w", after.ID, err)
		}
		made = &after
		return tx.audit(actor, telltale.AuditEntry{
			ProjectID: after.ProjectID, Action: telltale.AuditSourceChanged, Target: string(after.ID), Name: after.Name, Changes: telltale.SourceChanges(before, &after),
		})
	})
	if err != nil {
		return nil, err
	}
	return made, nil
}

// DeleteSource leaves to Purge what of the bodies would take too long.
func (s *Store) DeleteSource(ctx context.Context, project telltale.ProjectID, id telltale.SourceID, version int64) (*telltale.Source, error) {
	actor := telltale.ActorOf(ctx)
	var deleted *telltale.Source
	err := s.write(ctx, "deleting a source", 1000, func(tx *tx) error {
		number, src, err := s.source(tx.conn, project, id)
		if err != nil {
			return err
		}
		if version != 0 && src.Version != version {
			return changedMeanwhile("source", src.Version, version)
		}
		if err := tx.change(`DELETE FROM source_tally WHERE source = ?`).int(number).run(); err != nil {
			return fmt.Errorf("source %s: its tally: %w", id, err)
		}
		if err := tx.change(`DELETE FROM source WHERE number = ?`).int(number).run(); err != nil {
			return fmt.Errorf("source %s: %w", id, err)
		}
		more, err := tx.removeKept(tx.query(keptBySource).text(string(id)))
		if err != nil {
			return fmt.Errorf("source %s: %w", id, err)
		}
		if more {
			if err := tx.change(`INSERT INTO source_gone (source) VALUES (?)`).text(string(id)).run(); err != nil {
				return fmt.Errorf("source %s: %w", id, err)
			}
		}
		deleted = src
		return tx.audit(actor, telltale.AuditEntry{ProjectID: project, Action: telltale.AuditSourceDeleted, Target: string(id), Name: src.Name})
	})
	if err != nil {
		return nil, err
	}
	return deleted, nil
}

// NoteSources writes one narrow row for each source, whatever came to it.
func (s *Store) NoteSources(ctx context.Context, tallies map[telltale.SourceID]telltale.SourceTally) error {
	if len(tallies) == 0 {
		return nil
	}
	noted := slices.Sorted(maps.Keys(tallies))
	return s.write(ctx, "noting what came to sources", len(tallies)*200, func(tx *tx) error {
		for _, id := range noted {
			t := tallies[id]
			err := tx.change(`UPDATE source_tally SET requests = requests + ?1, events = events + ?2, duplicates = duplicates + ?3, ignored = ignored + ?4,
				unrecognised = unrecognised + ?5, refused = refused + ?6, last_request_at = max(last_request_at, ?7), last_event_at = max(last_event_at, ?8),
				last_failure = CASE WHEN ?9 > last_failure_at THEN ?10 ELSE last_failure END, last_failure_at = max(last_failure_at, ?9)
				WHERE source = (SELECT number FROM source WHERE id = ?11)`).
				int(t.Requests).int(t.Events).int(t.Duplicates).int(t.Ignored).int(t.Unrecognised).int(t.Refused).
				int(stored.TimeMilli(t.LastRequestAt)).int(stored.TimeMilli(t.LastEventAt)).int(stored.TimeMilli(t.LastFailureAt)).text(stored.CutText(t.LastFailure, telltale.MaxSourceFailure)).
				text(string(id)).run()
			if err != nil {
				return fmt.Errorf("source %s: %w", id, err)
			}
		}
		return nil
	})
}

func (s *Store) KeepUnrecognised(ctx context.Context, requests []telltale.UnrecognisedRequest) error {
	if len(requests) == 0 {
		return nil
	}
	source, project, size := requests[0].SourceID, requests[0].ProjectID, 0
	hashes := make([][sha256.Size]byte, len(requests))
	for i, r := range requests {
		switch {
		case r.SourceID != source || r.ProjectID != project:
			return telltale.Errorf(telltale.Invalid, "Requests of several sources are kept one source at a time.")
		case len(r.Body) > telltale.MaxFeedBody:
			return telltale.Errorf(telltale.TooLarge, "The request has %d bytes; at most %d are kept.", len(r.Body), telltale.MaxFeedBody)
		}
		hashes[i] = sha256.Sum256(r.Body)
		size += len(r.Body) + 300
	}
	return s.write(ctx, "keeping unrecognised requests", size, func(tx *tx) error {
		if err := s.sourceThere(tx.conn, project, source); err != nil {
			return err
		}
		kept, err := tx.countKept(source)
		if err != nil {
			return err
		}
		for i, r := range requests {
			err := tx.change(`INSERT INTO unrecognised_request (source, id, received_at, reason, content_type, hash, body) VALUES (?, ?, ?, ?, ?, ?, ?)
				ON CONFLICT (source, hash) DO NOTHING`).
				text(string(source)).text(string(r.ID)).int(stored.TimeMilli(r.ReceivedAt)).text(stored.CutText(r.Reason, telltale.MaxSourceFailure)).text(r.ContentType).
				blob(hashes[i][:]).blob(r.Body).run()
			if err != nil {
				return fmt.Errorf("request %s: %w", r.ID, err)
			}
			kept += tx.conn.Changes()
		}
		if excess := kept - telltale.MaxUnrecognised; excess > 0 {
			kept = telltale.MaxUnrecognised
			err = tx.change(`DELETE FROM unrecognised_request WHERE source = ?1 AND id IN (SELECT id FROM unrecognised_request WHERE source = ?1 ORDER BY id LIMIT ?2)`).
				text(string(source)).int(int64(excess)).run()
		}
		tx.kept[source] = kept
		return err
	})
}

// countKept counts what a source keeps, once: it may be thousands, request after
// request. Whoever removes some forgets the count.
func (tx *tx) countKept(source telltale.SourceID) (n int, err error) {
	tx.onUndo(func() { clear(tx.kept) })
	n, known := tx.kept[source]
	if !known {
		_, err = tx.query(`SELECT count(*) FROM unrecognised_request WHERE source = ?`).text(string(source)).one(func(q *query) { n = int(q.getInt()) })
	}
	return n, err
}

// sourceThere gives NotFound unless the project has the source.
func (s *Store) sourceThere(c *conn, project telltale.ProjectID, id telltale.SourceID) error {
	p := s.known.project(project)
	if p == nil {
		return notFound("source")
	}
	found, err := c.query(`SELECT 1 FROM source WHERE id = ? AND project = ?`).text(string(id)).int(p.number).one(func(*query) {})
	if err != nil || !found {
		return orNotFound(err, "source")
	}
	return nil
}

func (s *Store) UnrecognisedRequests(ctx context.Context, project telltale.ProjectID, source telltale.SourceID, page telltale.Page) (requests []telltale.UnrecognisedRequest, err error) {
	err = s.read(ctx, "listing unrecognised requests", func(c *conn) error {
		if err := s.sourceThere(c, project, source); err != nil {
			return err
		}
		l := list{page: page, key: "id"}
		l.where("source = ?", string(source))
		l.pageByText()
		return l.each(c, `SELECT id, received_at, reason, content_type, length(body), NULL FROM unrecognised_request`, func(q *query) error {
			requests = append(requests, scanUnrecognised(q, project, source))
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return newestFirst(requests, page), nil
}

func scanUnrecognised(q *query, project telltale.ProjectID, source telltale.SourceID) telltale.UnrecognisedRequest {
	return telltale.UnrecognisedRequest{
		ID: telltale.RequestID(q.getText()), SourceID: source, ProjectID: project, ReceivedAt: stored.MilliTime(q.getInt()), Reason: q.getText(), ContentType: q.getText(), Size: int(q.getInt()), Body: q.getBlob(),
	}
}

func (s *Store) UnrecognisedRequest(ctx context.Context, project telltale.ProjectID, source telltale.SourceID, id telltale.RequestID) (r telltale.UnrecognisedRequest, err error) {
	err = s.read(ctx, "finding an unrecognised request", func(c *conn) error {
		if err := s.sourceThere(c, project, source); err != nil {
			return err
		}
		found, err := c.query(`SELECT id, received_at, reason, content_type, length(body), body FROM unrecognised_request WHERE source = ? AND id = ?`).
			text(string(source)).text(string(id)).one(func(q *query) { r = scanUnrecognised(q, project, source) })
		if err == nil && !found {
			return notFound("request")
		}
		return err
	})
	return r, err
}

func (s *Store) CountUnrecognised(ctx context.Context, project telltale.ProjectID, source telltale.SourceID) (n int, err error) {
	err = s.read(ctx, "counting unrecognised requests", func(c *conn) error {
		if err := s.sourceThere(c, project, source); err != nil {
			return err
		}
		_, err := c.query(`SELECT count(*) FROM unrecognised_request WHERE source = ?`).text(string(source)).one(func(q *query) { n = int(q.getInt()) })
		return err
	})
	return n, err
}

func (s *Store) DropUnrecognised(ctx context.Context, project telltale.ProjectID, source telltale.SourceID, ids []telltale.RequestID) error {
	return s.write(ctx, "dropping unrecognised requests", len(ids)*100, func(tx *tx) error {
		if err := s.sourceThere(tx.conn, project, source); err != nil {
			return err
		}
		clear(tx.kept)
		for _, id := range ids {
			if err := tx.change(`DELETE FROM unrecognised_request WHERE source = ? AND id = ?`).text(string(source)).text(string(id)).run(); err != nil {
				return fmt.Errorf("request %s: %w", id, err)
			}
		}
		return nil
	})
}

// purgeUnrecognised removes requests that nobody came to understand, and those
// of sources that are gone.
func (tx *tx) purgeUnrecognised() (more bool, err error) {
	more, err = tx.removeKept(tx.query(keptColumns + ` WHERE received_at < ? LIMIT ?`).int(tx.milli - telltale.MaxUnrecognisedAge.Milliseconds()))
	if err != nil || more {
		return more, err
	}
	gone := ""
	found, err := tx.query(`SELECT source FROM source_gone LIMIT 1`).one(func(q *query) { gone = q.getText() })
	if err != nil || !found {
		return false, err
	}
	more, err = tx.removeKept(tx.query(keptBySource).text(gone))
	if err != nil || more {
		return more, err
	}
	return true, tx.change(`DELETE FROM source_gone WHERE source = ?`).text(gone).run()
}

// The length of a body is read without the body.
const (
	keptColumns  = `SELECT number, length(body) FROM unrecognised_request`
	keptBySource = keptColumns + ` WHERE source = ? LIMIT ?`
)

// removeKept removes a bounded chunk of the unrecognised requests that the query
// finds, which asks for its limit last.
func (tx *tx) removeKept(found *query) (more bool, err error) {
	var numbers []int64
	size := int64(0)
	err = found.int(purgeRows).each(func(q *query) error {
		number, bytes := q.getInt(), q.getInt()
		more = more || len(numbers) > 0 && size+bytes > keptBytes
		if !more {
			numbers, size = append(numbers, number), size+bytes
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("unrecognised requests: %w", err)
	}
	clear(tx.kept)
	for _, number := range numbers {
		if err := tx.change(`DELETE FROM unrecognised_request WHERE number = ?`).int(number).run(); err != nil {
			return false, fmt.Errorf("unrecognised request %d: %w", number, err)
		}
	}
	return more || len(numbers) == purgeRows, nil
}
