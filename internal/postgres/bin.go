package postgres

import (
	"context"
	"fmt"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

func (s *Store) CreateBin(ctx context.Context, b telltale.Bin) error {
	answer, err := stored.EncodeBinAnswer(b.Answer)
	if err != nil {
		return err
	}
	return s.write(ctx, "creating a bin", func(tx *tx) error {
		project, err := tx.lockProject(b.ProjectID)
		if err != nil {
			return err
		}
		count := 0
		if _, err := tx.one([]any{&count}, `SELECT count(*) FROM bin WHERE project = $1 AND expires_at > $2`, project, tx.milli); err != nil {
			return err
		}
		if count >= telltale.MaxBins {
			return telltale.Errorf(telltale.Conflict, "The project has %d bins already; delete one, or wait until one expires.", count)
		}
		_, err = tx.exec(`INSERT INTO bin (id, project, created_at, expires_at, answer) VALUES ($1, $2, $3, $4, $5)`,
			string(b.ID), project, stored.TimeMilli(b.CreatedAt), stored.TimeMilli(b.ExpiresAt), textOrNull(answer))
		if err != nil {
			return fmt.Errorf("bin: %w", err) // its id opens it, and is not for the log
		}
		return nil
	})
}

const (
	binFields  = `SELECT b.id, p.id, b.created_at, b.expires_at, coalesce(b.answer, '')`
	binTables  = ` FROM bin b JOIN project p ON p.number = b.project`
	binColumns = binFields + binTables
)

// binRow is what a row of binFields is read into.
type binRow struct {
	telltale.Bin
	createdAt, expiresAt int64
	answer               string
}

func (r *binRow) into() []any {
	return []any{&r.ID, &r.ProjectID, &r.createdAt, &r.expiresAt, &r.answer}
}

func (r *binRow) bin() telltale.Bin {
	b := r.Bin
	b.CreatedAt, b.ExpiresAt = stored.MilliTime(r.createdAt), stored.MilliTime(r.expiresAt)
	b.Answer = stored.DecodeBinAnswer(r.answer)
	return b
}

func (s *Store) UpdateBin(ctx context.Context, project telltale.ProjectID, id telltale.BinID, answer telltale.BinAnswer) (b telltale.Bin, err error) {
	text, err := stored.EncodeBinAnswer(answer)
	if err != nil {
		return b, err
	}
	err = s.write(ctx, "changing a bin", func(tx *tx) error {
		var row binRow
		found, err := tx.one(row.into(), `UPDATE bin b SET answer = $1 FROM project p WHERE p.number = b.project AND b.id = $2 AND p.id = $3 AND b.expires_at > $4
			RETURNING b.id, p.id, b.created_at, b.expires_at, coalesce(b.answer, '')`, textOrNull(text), clean(string(id)), clean(string(project)), tx.milli)
		if err != nil || !found {
			return orNotFound(err, "bin")
		}
		b = row.bin()
		return nil
	})
	if err != nil {
		return telltale.Bin{}, err
	}
	return b, nil
}

func (s *Store) Bin(ctx context.Context, id telltale.BinID) (telltale.Bin, error) {
	var row binRow
	err := s.read(ctx, "finding a bin", func(ctx context.Context, q querier) error {
		err := q.QueryRow(ctx, binColumns+` WHERE b.id = $1 AND b.expires_at > telltale_now()`, clean(string(id))).Scan(row.into()...)
		if noRows(err) {
			return notFound("bin")
		}
		return err
	})
	if err != nil {
		return telltale.Bin{}, err
	}
	return row.bin(), nil
}

func (s *Store) Bins(ctx context.Context, project telltale.ProjectID) (bins []telltale.Bin, err error) {
	err = s.read(ctx, "listing bins", func(ctx context.Context, q querier) error {
		var row binRow
		var caught int
		return each(ctx, q, binFields+`, (SELECT count(*) FROM caught_request c WHERE c.bin = b.id)`+binTables+
			` WHERE p.id = $1 AND b.expires_at > (SELECT telltale_now()) ORDER BY b.created_at DESC, b.id DESC`,
			[]any{clean(string(project))}, append(row.into(), &caught), func() error {
				b := row.bin()
				b.Caught = caught
				bins = append(bins, b)
				return nil
			})
	})
	if err != nil {
		return nil, err
	}
	return bins, nil
}

func (s *Store) DeleteBin(ctx context.Context, project telltale.ProjectID, id telltale.BinID) error {
	return s.write(ctx, "deleting a bin", func(tx *tx) error {
		gone, err := tx.exec(`DELETE FROM bin b USING project p WHERE p.number = b.project AND b.id = $1 AND p.id = $2 AND b.expires_at > $3`,
			clean(string(id)), clean(string(project)), tx.milli)
		if err != nil || gone == 0 {
			return orNotFound(err, "bin")
		}
		// Whoever was catching has done so by now, since the bin was theirs.
		if _, err := tx.exec(`DELETE FROM caught_request WHERE bin = $1`, string(id)); err != nil {
			return fmt.Errorf("what a bin caught: %w", err)
		}
		return nil
	})
}

// CatchRequest holds the bin, so that it is not deleted meanwhile, and shares it
// with others who catch: a bin to which much is sent must not keep connections
// waiting. Of what is caught in the same moment the bin may keep a few too many
// until it catches again.
func (s *Store) CatchRequest(ctx context.Context, r telltale.CaughtRequest) error {
	return s.write(ctx, "catching a request", func(tx *tx) error {
		caught, err := tx.exec(`INSERT INTO caught_request (bin, id, received_at, remote_addr, method, path, headers, body, truncated, verdict)
			SELECT id, $2, $3, $4, $5, $6, $7, $8, $9, $10 FROM bin WHERE id = $1 AND expires_at > $11 FOR KEY SHARE`,
			clean(string(r.BinID)), string(r.ID), stored.TimeMilli(r.ReceivedAt), clean(r.RemoteAddr), []byte(r.Method), []byte(r.Path),
			orEmpty(stored.EncodeHeaders(r.Headers)), orEmpty(r.Body), r.Truncated, []byte(r.Verdict), tx.milli)
		if err != nil {
			return fmt.Errorf("request %s: %w", r.ID, err)
		}
		if caught == 0 {
			return notFound("bin")
		}
		_, err = tx.exec(`DELETE FROM caught_request WHERE number IN (SELECT number FROM caught_request WHERE bin = $1 ORDER BY id DESC OFFSET $2 FOR UPDATE SKIP LOCKED)`,
			string(r.BinID), int64(telltale.MaxCaughtRequests))
		if err != nil {
			return fmt.Errorf("what a bin caught: %w", err)
		}
		return nil
	})
}

// orEmpty keeps no bytes from being stored as nothing.
func orEmpty(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

const (
	caughtColumns = `SELECT id, received_at, remote_addr, method, path, headers, truncated, verdict, body FROM caught_request`
	// headColumns have nothing in the body's place, which may be long.
	headColumns = `SELECT id, received_at, remote_addr, method, path, headers, truncated, verdict, NULL::bytea FROM caught_request`
)

// caughtRow is what a row of these is read into.
type caughtRow struct {
	telltale.CaughtRequest
	receivedAt                           int64
	method, path, headers, verdict, body []byte
}

func (r *caughtRow) into() []any {
	return []any{&r.ID, &r.receivedAt, &r.RemoteAddr, &r.method, &r.path, &r.headers, &r.Truncated, &r.verdict, &r.body}
}

func (r *caughtRow) request(bin telltale.BinID) (telltale.CaughtRequest, error) {
	made := r.CaughtRequest
	made.BinID, made.ReceivedAt, made.Method, made.Path, made.Verdict = bin, stored.MilliTime(r.receivedAt), string(r.method), string(r.path), string(r.verdict)
	if len(r.body) > 0 {
		made.Body = r.body
	}
	var err error
	if made.Headers, err = stored.DecodeHeaders(r.headers); err != nil {
		return made, fmt.Errorf("request %s: %w", made.ID, err)
	}
	return made, nil
}

func (s *Store) CaughtRequests(ctx context.Context, id telltale.BinID, page telltale.Page) ([]telltale.CaughtRequest, error) {
	return s.listCaught(ctx, id, page, caughtColumns)
}

func (s *Store) CaughtHeads(ctx context.Context, id telltale.BinID, page telltale.Page) ([]telltale.CaughtRequest, error) {
	return s.listCaught(ctx, id, page, headColumns)
}

func (s *Store) listCaught(ctx context.Context, id telltale.BinID, page telltale.Page, columns string) ([]telltale.CaughtRequest, error) {
	var caught []telltale.CaughtRequest
	err := s.read(ctx, "listing what a bin caught", func(ctx context.Context, q querier) error {
		var c conditions
		c.where("bin = ?", string(id))
		order := c.byID("id", page)
		var row caughtRow
		return each(ctx, q, columns+c.String()+order, c.args, row.into(), func() error {
			r, err := row.request(id)
			caught = append(caught, r)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return newestFirst(caught, page), nil
}

func (s *Store) CaughtRequest(ctx context.Context, id telltale.BinID, request telltale.RequestID) (r telltale.CaughtRequest, err error) {
	err = s.read(ctx, "finding what a bin caught", func(ctx context.Context, q querier) error {
		var row caughtRow
		err := q.QueryRow(ctx, caughtColumns+` WHERE bin = $1 AND id = $2`, clean(string(id)), clean(string(request))).Scan(row.into()...)
		if noRows(err) {
			return notFound("request")
		}
		if err != nil {
			return err
		}
		r, err = row.request(id)
		return err
	})
	if err != nil {
		return telltale.CaughtRequest{}, err
	}
	return r, nil
}
