package postgres

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

func (s *Store) CreateSource(ctx context.Context, source telltale.Source) (*telltale.Source, error) {
	made := stored.CloneSource(source)
	made.Tally = telltale.SourceTally{}
	row, err := stored.SealSource(s.options.Sealer, made)
	if err != nil {
		return nil, err
	}
	actor := telltale.ActorOf(ctx)
	err = s.write(ctx, "creating a source", func(tx *tx) error {
		project, err := tx.lockProject(made.ProjectID)
		if err != nil {
			return err
		}
		count := 0
		if _, err := tx.one([]any{&count}, `SELECT count(*) FROM source WHERE project = $1`, project); err != nil {
			return err
		}
		if count >= telltale.MaxSources {
			return telltale.Errorf(telltale.Conflict, "The project has %d sources already; delete one that is not used any more.", count)
		}
		_, err = tx.exec(`WITH made AS (INSERT INTO source (id, project, version, token, provider, name, options, enabled, created_at, updated_at, credentials)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING number)
			INSERT INTO source_tally (source) SELECT number FROM made`,
			string(made.ID), project, made.Version, string(made.Token), made.Provider, clean(made.Name), textOrNull(row.Options), made.Enabled,
			stored.TimeMilli(made.CreatedAt), stored.TimeMilli(made.UpdatedAt), row.Credentials)
		if isUnique(err) {
			return telltale.Errorf(telltale.Conflict, "There is a source %s already.", made.ID)
		}
		if err != nil {
			return fmt.Errorf("source %s: %w", made.ID, err)
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

const sourceColumns = `SELECT s.number, s.id, p.id, s.version, s.token, s.provider, s.name, coalesce(s.options, ''), s.enabled, s.created_at, s.updated_at, s.credentials,
	t.requests, t.events, t.duplicates, t.ignored, t.unrecognised, t.refused, t.last_request_at, t.last_event_at, t.last_failure_at, t.last_failure
	FROM source s JOIN project p ON p.number = s.project JOIN source_tally t ON t.source = s.number`

// sourceRow is what a row of sourceColumns is read into.
type sourceRow struct {
	telltale.Source
	stored.SourceRow
	number, createdAt, updatedAt              int64
	lastRequestAt, lastEventAt, lastFailureAt int64
}

func (r *sourceRow) into() []any {
	t := &r.Tally
	return []any{
		&r.number, &r.ID, &r.ProjectID, &r.Version, &r.Token, &r.Provider, &r.Name, &r.SourceRow.Options, &r.Enabled, &r.createdAt, &r.updatedAt, &r.SourceRow.Credentials,
		&t.Requests, &t.Events, &t.Duplicates, &t.Ignored, &t.Unrecognised, &t.Refused, &r.lastRequestAt, &r.lastEventAt, &r.lastFailureAt, &t.LastFailure,
	}
}

func (r *sourceRow) source(sealer telltale.Sealer) (*telltale.Source, error) {
	made := r.Source
	made.CreatedAt, made.UpdatedAt = stored.MilliTime(r.createdAt), stored.MilliTime(r.updatedAt)
	t := &made.Tally
	t.LastRequestAt, t.LastEventAt, t.LastFailureAt = stored.MilliTime(r.lastRequestAt), stored.MilliTime(r.lastEventAt), stored.MilliTime(r.lastFailureAt)
	if err := r.SourceRow.Open(sealer, &made); err != nil {
		return nil, err
	}
	return &made, nil
}

func (s *Store) findSource(ctx context.Context, where string, values ...any) (source *telltale.Source, err error) {
	err = s.read(ctx, "finding a source", func(ctx context.Context, q querier) error {
		var row sourceRow
		err := q.QueryRow(ctx, sourceColumns+where, values...).Scan(row.into()...)
		if noRows(err) {
			return notFound("source")
		}
		if err != nil {
			return err
		}
		source, err = row.source(s.options.Sealer)
		return err
	})
	if err != nil {
		return nil, err
	}
	return source, nil
}

func (s *Store) Source(ctx context.Context, project telltale.ProjectID, id telltale.SourceID) (*telltale.Source, error) {
	return s.findSource(ctx, ` WHERE s.id = $1 AND p.id = $2`, clean(string(id)), clean(string(project)))
}

func (s *Store) SourceByToken(ctx context.Context, token telltale.SourceToken) (*telltale.Source, error) {
	return s.findSource(ctx, ` WHERE s.token = $1`, clean(string(token)))
}

func (s *Store) Sources(ctx context.Context, project telltale.ProjectID, page telltale.Page) (sources []*telltale.Source, err error) {
	err = s.read(ctx, "listing sources", func(ctx context.Context, q querier) error {
		var c conditions
		c.where("p.id = ?", string(project))
		order := c.byID("s.id", page)
		var row sourceRow
		return each(ctx, q, sourceColumns+c.String()+order, c.args, row.into(), func() error {
			source, err := row.source(s.options.Sealer)
			sources = append(sources, source)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return newestFirst(sources, page), nil
}

// sourceToChange reads a source that is about to be changed, or deleted.
func (tx *tx) sourceToChange(project telltale.ProjectID, id telltale.SourceID) (number int64, source *telltale.Source, err error) {
	var row sourceRow
	found, err := tx.one(row.into(), sourceColumns+` WHERE s.id = $1 AND p.id = $2 FOR UPDATE OF s`, clean(string(id)), clean(string(project)))
	if err != nil || !found {
		return 0, nil, orNotFound(err, "source")
	}
	source, err = row.source(tx.store.options.Sealer)
	return row.number, source, err
}

func (s *Store) UpdateSource(ctx context.Context, wanted telltale.Source) (made *telltale.Source, err error) {
	wanted = *stored.CloneSource(wanted)
	row, err := stored.SealSource(s.options.Sealer, &wanted)
	if err != nil {
		return nil, err
	}
	actor := telltale.ActorOf(ctx)
	err = s.write(ctx, "updating a source", func(tx *tx) error {
		number, before, err := tx.sourceToChange(wanted.ProjectID, wanted.ID)
		if err != nil {
			return err
		}
		if before.Version != wanted.Version {
			return changedMeanwhile("source", before.Version, wanted.Version)
		}
		after := *before
		after.Name, after.Credentials, after.Options, after.Enabled = wanted.Name, wanted.Credentials, wanted.Options, wanted.Enabled
		after.Version, after.UpdatedAt = before.Version+1, tx.presentTime()
		_, err = tx.exec(`UPDATE source SET version = $1, updated_at = $2, name = $3, options = $4, enabled = $5, credentials = $6 WHERE number = $7`,
			after.Version, tx.milli, clean(after.Name), textOrNull(row.Options), after.Enabled, row.Credentials, number)
		if err != nil {
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
func (s *Store) DeleteSource(ctx context.Context, project telltale.ProjectID, id telltale.SourceID, version int64) (deleted *telltale.Source, err error) {
	actor := telltale.ActorOf(ctx)
	err = s.write(ctx, "deleting a source", func(tx *tx) error {
		number, source, err := tx.sourceToChange(project, id)
		if err != nil {
			return err
		}
		if version != 0 && source.Version != version {
			return changedMeanwhile("source", source.Version, version)
		}
		if _, err := tx.exec(`DELETE FROM source WHERE number = $1`, number); err != nil {
			return fmt.Errorf("source %s: %w", id, err)
		}
		if _, err := tx.exec(`DELETE FROM source_tally WHERE source = $1`, number); err != nil {
			return fmt.Errorf("source %s: its tally: %w", id, err)
		}
		more, err := tx.removeKept(`source = $1`, string(id))
		if err != nil {
			return fmt.Errorf("source %s: %w", id, err)
		}
		if more {
			if _, err := tx.exec(`INSERT INTO source_gone (source) VALUES ($1) ON CONFLICT DO NOTHING`, string(id)); err != nil {
				return fmt.Errorf("source %s: %w", id, err)
			}
		}
		deleted = source
		return tx.audit(actor, telltale.AuditEntry{ProjectID: project, Action: telltale.AuditSourceDeleted, Target: string(id), Name: source.Name})
	})
	if err != nil {
		return nil, err
	}
	return deleted, nil
}

// NoteSources writes one narrow row for each source, whatever came to it. It
// locks them in order, as other nodes do.
func (s *Store) NoteSources(ctx context.Context, tallies map[telltale.SourceID]telltale.SourceTally) error {
	if len(tallies) == 0 {
		return nil
	}
	n := len(tallies)
	id, failure := make([]string, 0, n), make([]string, 0, n)
	var counts [6][]int64
	var times [3][]int64
	for _, source := range slices.Sorted(maps.Keys(tallies)) {
		t := tallies[source]
		id, failure = append(id, clean(string(source))), append(failure, clean(stored.CutText(t.LastFailure, telltale.MaxSourceFailure)))
		for i, count := range [...]int64{t.Requests, t.Events, t.Duplicates, t.Ignored, t.Unrecognised, t.Refused} {
			counts[i] = append(counts[i], count)
		}
		for i, at := range [...]int64{stored.TimeMilli(t.LastRequestAt), stored.TimeMilli(t.LastEventAt), stored.TimeMilli(t.LastFailureAt)} {
			times[i] = append(times[i], at)
		}
	}
	return s.write(ctx, "noting what came to sources", func(tx *tx) error {
		if _, err := tx.exec(`SELECT FROM source_tally WHERE source IN (SELECT number FROM source WHERE id = ANY($1::text[])) ORDER BY source FOR NO KEY UPDATE`, id); err != nil {
			return err
		}
		_, err := tx.exec(`UPDATE source_tally t SET requests = t.requests + u.requests, events = t.events + u.events, duplicates = t.duplicates + u.duplicates,
				ignored = t.ignored + u.ignored, unrecognised = t.unrecognised + u.unrecognised, refused = t.refused + u.refused,
				last_request_at = greatest(t.last_request_at, u.request_at), last_event_at = greatest(t.last_event_at, u.event_at),
				last_failure = CASE WHEN u.failure_at > t.last_failure_at THEN u.failure ELSE t.last_failure END, last_failure_at = greatest(t.last_failure_at, u.failure_at)
			FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::text[])
				AS u(id, requests, events, duplicates, ignored, unrecognised, refused, request_at, event_at, failure_at, failure)
			JOIN source s ON s.id = u.id WHERE t.source = s.number`,
			id, counts[0], counts[1], counts[2], counts[3], counts[4], counts[5], times[0], times[1], times[2], failure)
		return err
	})
}

// KeepUnrecognised holds the source, so that it is not deleted meanwhile, and
// shares it with others who keep. Of what is kept in the same moment there may
// be a few too many until something is kept again.
func (s *Store) KeepUnrecognised(ctx context.Context, requests []telltale.UnrecognisedRequest) error {
	if len(requests) == 0 {
		return nil
	}
	source, project := requests[0].SourceID, requests[0].ProjectID
	n := len(requests)
	id, at, reason, kind, hash, body := make([]string, n), make([]int64, n), make([]string, n), make([]string, n), make([][]byte, n), make([][]byte, n)
	for i, r := range requests {
		switch {
		case r.SourceID != source || r.ProjectID != project:
			return telltale.Errorf(telltale.Invalid, "Requests of several sources are kept one source at a time.")
		case len(r.Body) > telltale.MaxFeedBody:
			return telltale.Errorf(telltale.TooLarge, "The request has %d bytes; at most %d are kept.", len(r.Body), telltale.MaxFeedBody)
		}
		sum := sha256.Sum256(r.Body)
		id[i], at[i], reason[i], kind[i] = string(r.ID), stored.TimeMilli(r.ReceivedAt), clean(stored.CutText(r.Reason, telltale.MaxSourceFailure)), clean(r.ContentType)
		hash[i], body[i] = sum[:], orEmpty(r.Body)
	}
	return s.write(ctx, "keeping unrecognised requests", func(tx *tx) error {
		if err := tx.holdSource(project, source); err != nil {
			return err
		}
		kept, err := tx.exec(`INSERT INTO unrecognised_request (source, id, received_at, reason, content_type, hash, body)
			SELECT $1, u.id, u.at, u.reason, u.kind, u.hash, u.body
			FROM unnest($2::text[], $3::bigint[], $4::text[], $5::text[], $6::bytea[], $7::bytea[]) WITH ORDINALITY AS u(id, at, reason, kind, hash, body, place) ORDER BY u.hash, u.place
			ON CONFLICT (source, hash) DO NOTHING`, string(source), id, at, reason, kind, hash, body)
		if err != nil || kept == 0 {
			return err
		}
		_, err = tx.exec(`DELETE FROM unrecognised_request WHERE number IN
			(SELECT number FROM unrecognised_request WHERE source = $1 ORDER BY id DESC OFFSET $2 FOR UPDATE SKIP LOCKED)`, string(source), int64(telltale.MaxUnrecognised))
		return err
	})
}

const sourceThere = `SELECT s.number FROM source s JOIN project p ON p.number = s.project WHERE s.id = $1 AND p.id = $2`

// holdSource keeps a source of the project from being deleted; NotFound.
func (tx *tx) holdSource(project telltale.ProjectID, id telltale.SourceID) error {
	var number int64
	found, err := tx.one([]any{&number}, sourceThere+` FOR KEY SHARE OF s`, clean(string(id)), clean(string(project)))
	if err != nil || !found {
		return orNotFound(err, "source")
	}
	return nil
}

// readSource is read for what a source of the project has; NotFound.
func (s *Store) readSource(ctx context.Context, operation string, project telltale.ProjectID, id telltale.SourceID, do func(ctx context.Context, q querier) error) error {
	return s.read(ctx, operation, func(ctx context.Context, q querier) error {
		var number int64
		err := q.QueryRow(ctx, sourceThere, clean(string(id)), clean(string(project))).Scan(&number)
		if noRows(err) {
			return notFound("source")
		}
		if err != nil {
			return err
		}
		return do(ctx, q)
	})
}

// unrecognisedRow is what id, received_at, reason, content_type, the length of
// the body, and the body of a request are read into.
type unrecognisedRow struct {
	telltale.UnrecognisedRequest
	receivedAt int64
	body       []byte
}

func (r *unrecognisedRow) into() []any {
	return []any{&r.ID, &r.receivedAt, &r.Reason, &r.ContentType, &r.Size, &r.body}
}

func (r *unrecognisedRow) request(project telltale.ProjectID, source telltale.SourceID) telltale.UnrecognisedRequest {
	made := r.UnrecognisedRequest
	made.ProjectID, made.SourceID, made.ReceivedAt = project, source, stored.MilliTime(r.receivedAt)
	if len(r.body) > 0 {
		made.Body = r.body
	}
	return made
}

func (s *Store) UnrecognisedRequests(ctx context.Context, project telltale.ProjectID, source telltale.SourceID, page telltale.Page) (requests []telltale.UnrecognisedRequest, err error) {
	err = s.readSource(ctx, "listing unrecognised requests", project, source, func(ctx context.Context, q querier) error {
		var c conditions
		c.where("source = ?", string(source))
		order := c.byID("id", page)
		var row unrecognisedRow
		return each(ctx, q, `SELECT id, received_at, reason, content_type, length(body), NULL::bytea FROM unrecognised_request`+c.String()+order, c.args, row.into(), func() error {
			requests = append(requests, row.request(project, source))
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return newestFirst(requests, page), nil
}

func (s *Store) UnrecognisedRequest(ctx context.Context, project telltale.ProjectID, source telltale.SourceID, id telltale.RequestID) (telltale.UnrecognisedRequest, error) {
	var row unrecognisedRow
	err := s.readSource(ctx, "finding an unrecognised request", project, source, func(ctx context.Context, q querier) error {
		err := q.QueryRow(ctx, `SELECT id, received_at, reason, content_type, length(body), body FROM unrecognised_request WHERE source = $1 AND id = $2`,
			string(source), clean(string(id))).Scan(row.into()...)
		if noRows(err) {
			return notFound("request")
		}
		return err
	})
	if err != nil {
		return telltale.UnrecognisedRequest{}, err
	}
	return row.request(project, source), nil
}

func (s *Store) CountUnrecognised(ctx context.Context, project telltale.ProjectID, source telltale.SourceID) (n int, err error) {
	err = s.readSource(ctx, "counting unrecognised requests", project, source, func(ctx context.Context, q querier) error {
		return q.QueryRow(ctx, `SELECT count(*) FROM unrecognised_request WHERE source = $1`, string(source)).Scan(&n)
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

func (s *Store) DropUnrecognised(ctx context.Context, project telltale.ProjectID, source telltale.SourceID, ids []telltale.RequestID) error {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = clean(string(id))
	}
	return s.write(ctx, "dropping unrecognised requests", func(tx *tx) error {
		if err := tx.holdSource(project, source); err != nil {
			return err
		}
		_, err := tx.exec(`DELETE FROM unrecognised_request WHERE number IN
			(SELECT number FROM unrecognised_request WHERE source = $1 AND id = ANY($2::text[]) ORDER BY number FOR UPDATE)`, string(source), texts)
		return err
	})
}

// Bounds of what one transaction removes of what sources keep.
const (
	keptRows  = 2000
	keptBytes = 16 << 20 // of bodies
)

// removeKept removes a bounded chunk of the unrecognised requests for which the
// condition holds. The length of a body is read without the body.
func (tx *tx) removeKept(condition string, args ...any) (more bool, err error) {
	var numbers []int64
	var number, bytes, size int64
	err = tx.each([]any{&number, &bytes}, func() error {
		more = more || len(numbers) > 0 && size+bytes > keptBytes
		if !more {
			numbers, size = append(numbers, number), size+bytes
		}
		return nil
	}, fmt.Sprintf(`SELECT number, length(body) FROM unrecognised_request WHERE %s LIMIT %d`, condition, keptRows), args...)
	if err != nil {
		return false, fmt.Errorf("unrecognised requests: %w", err)
	}
	if _, err := tx.exec(`DELETE FROM unrecognised_request WHERE number = ANY($1::bigint[])`, numbers); err != nil {
		return false, fmt.Errorf("unrecognised requests: %w", err)
	}
	return more || len(numbers) == keptRows, nil
}

// purgeUnrecognised removes requests that nobody came to understand, and those
// of sources that are gone.
func (tx *tx) purgeUnrecognised() (more bool, err error) {
	more, err = tx.removeKept(`received_at < $1`, tx.milli-telltale.MaxUnrecognisedAge.Milliseconds())
	if err != nil || more {
		return more, err
	}
	gone := ""
	found, err := tx.one([]any{&gone}, `SELECT source FROM source_gone LIMIT 1`)
	if err != nil || !found {
		return false, err
	}
	more, err = tx.removeKept(`source = $1`, gone)
	if err != nil || more {
		return more, err
	}
	_, err = tx.exec(`DELETE FROM source_gone WHERE source = $1`, gone)
	return true, err
}
