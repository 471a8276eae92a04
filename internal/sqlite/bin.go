package sqlite

import (
	"context"
	"errors"
	"fmt"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

func (s *Store) CreateBin(ctx context.Context, b telltale.Bin) error {
	answer, err := stored.EncodeBinAnswer(b.Answer)
	if err != nil {
		return err
	}
	return s.write(ctx, "creating a bin", 200, func(tx *tx) error {
		p := tx.project(b.ProjectID)
		if p == nil {
			return notFound("project")
		}
		var count int64
		_, err := tx.query(`SELECT count(*) FROM bin WHERE project = ? AND expires_at > ?`).int(p.number).int(tx.milli).one(func(q *query) { count = q.getInt() })
		if err != nil {
			return err
		}
		if count >= telltale.MaxBins {
			return telltale.Errorf(telltale.Conflict, "The project has %d bins already; delete one, or wait until one expires.", count)
		}
		err = tx.change(`INSERT INTO bin (id, project, created_at, expires_at, answer) VALUES (?, ?, ?, ?, ?)`).
			text(string(b.ID)).int(p.number).int(stored.TimeMilli(b.CreatedAt)).int(stored.TimeMilli(b.ExpiresAt)).textOrNull(answer).run()
		if err != nil {
			return fmt.Errorf("bin: %w", err) // its id opens it, and is not for the log
		}
		return nil
	})
}

const (
	binFields  = `b.id, p.id, b.created_at, b.expires_at, b.answer`
	binTables  = ` FROM bin b JOIN project p ON p.number = b.project`
	binColumns = binFields + binTables
)

func scanBin(q *query) telltale.Bin {
	b := telltale.Bin{
		ID: telltale.BinID(q.getText()), ProjectID: telltale.ProjectID(q.getText()), CreatedAt: stored.MilliTime(q.getInt()), ExpiresAt: stored.MilliTime(q.getInt()),
	}
	b.Answer = stored.DecodeBinAnswer(q.getText())
	return b
}

func (s *Store) UpdateBin(ctx context.Context, project telltale.ProjectID, id telltale.BinID, answer telltale.BinAnswer) (b telltale.Bin, err error) {
	text, err := stored.EncodeBinAnswer(answer)
	if err != nil {
		return b, err
	}
	err = s.write(ctx, "changing a bin", len(text)+100, func(tx *tx) error {
		p := tx.project(project)
		if p == nil {
			return notFound("bin")
		}
		found, err := tx.query(`SELECT ` + binColumns + ` WHERE b.id = ? AND b.project = ? AND b.expires_at > ?`).text(string(id)).int(p.number).int(tx.milli).
			one(func(q *query) { b = scanBin(q) })
		if err != nil || !found {
			return orNotFound(err, "bin")
		}
		b.Answer = answer
		return tx.change(`UPDATE bin SET answer = ? WHERE id = ?`).textOrNull(text).text(string(id)).run()
	})
	if err != nil {
		return telltale.Bin{}, err
	}
	return b, nil
}

func (s *Store) Bin(ctx context.Context, id telltale.BinID) (b telltale.Bin, err error) {
	err = s.read(ctx, "finding a bin", func(c *conn) error {
		found, err := c.query(`SELECT ` + binColumns + ` WHERE b.id = ? AND b.expires_at > ?`).text(string(id)).int(nowMilli()).one(func(q *query) { b = scanBin(q) })
		if err == nil && !found {
			return notFound("bin")
		}
		return err
	})
	return b, err
}

func (s *Store) Bins(ctx context.Context, project telltale.ProjectID) (bins []telltale.Bin, err error) {
	err = s.read(ctx, "listing bins", func(c *conn) error {
		return c.query(`SELECT ` + binFields + `, (SELECT count(*) FROM caught_request WHERE bin = b.id)` + binTables + ` WHERE p.id = ? AND b.expires_at > ? ORDER BY b.created_at DESC, b.id DESC`).
			text(string(project)).int(nowMilli()).
			each(func(q *query) error {
				b := scanBin(q)
				b.Caught = int(q.getInt())
				bins = append(bins, b)
				return nil
			})
	})
	return bins, err
}

func (s *Store) DeleteBin(ctx context.Context, project telltale.ProjectID, id telltale.BinID) error {
	return s.write(ctx, "deleting a bin", 100, func(tx *tx) error {
		p := tx.project(project)
		if p == nil {
			return notFound("bin")
		}
		found, err := tx.query(`SELECT 1 FROM bin WHERE id = ? AND project = ? AND expires_at > ?`).text(string(id)).int(p.number).int(tx.milli).one(func(*query) {})
		if err != nil || !found {
			return orNotFound(err, "bin")
		}
		return tx.removeBin(id)
	})
}

func (tx *tx) removeBin(id telltale.BinID) error {
	if err := tx.change(`DELETE FROM caught_request WHERE bin = ?`).text(string(id)).run(); err != nil {
		return fmt.Errorf("what a bin caught: %w", err)
	}
	if err := tx.change(`DELETE FROM bin WHERE id = ?`).text(string(id)).run(); err != nil {
		return fmt.Errorf("bin: %w", err)
	}
	return nil
}

func (s *Store) CatchRequest(ctx context.Context, r telltale.CaughtRequest) error {
	headers := stored.EncodeHeaders(r.Headers)
	return s.write(ctx, "catching a request", len(headers)+len(r.Body)+200, func(tx *tx) error {
		found, err := tx.query(`SELECT 1 FROM bin WHERE id = ? AND expires_at > ?`).text(string(r.BinID)).int(tx.milli).one(func(*query) {})
		if err != nil || !found {
			return orNotFound(err, "bin")
		}
		err = tx.change(`INSERT INTO caught_request (bin, id, received_at, remote_addr, method, path, headers, body, truncated, verdict) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`).
			text(string(r.BinID)).text(string(r.ID)).int(stored.TimeMilli(r.ReceivedAt)).text(r.RemoteAddr).text(r.Method).text(r.Path).
			blob(headers).blob(r.Body).bool(r.Truncated).text(r.Verdict).run()
		if err != nil {
			return fmt.Errorf("request %s: %w", r.ID, err)
		}
		return tx.change(`DELETE FROM caught_request WHERE bin = ?1 AND id IN (SELECT id FROM caught_request WHERE bin = ?1 ORDER BY id DESC LIMIT -1 OFFSET ?2)`).
			text(string(r.BinID)).int(telltale.MaxCaughtRequests).run()
	})
}

const caughtColumns = `SELECT id, received_at, remote_addr, method, path, headers, truncated, verdict, body FROM caught_request`

// headColumns have nothing in the body's place, which may be long.
const headColumns = `SELECT id, received_at, remote_addr, method, path, headers, truncated, verdict, NULL FROM caught_request`

func scanCaught(q *query, bin telltale.BinID) (telltale.CaughtRequest, error) {
	r := telltale.CaughtRequest{
		ID: telltale.RequestID(q.getText()), BinID: bin, ReceivedAt: stored.MilliTime(q.getInt()), RemoteAddr: q.getText(), Method: q.getText(), Path: q.getText(),
	}
	headers, err := stored.DecodeHeaders(q.getBlob())
	if err != nil {
		return r, fmt.Errorf("request %s: %w", r.ID, err)
	}
	r.Headers, r.Truncated, r.Verdict, r.Body = headers, q.getBool(), q.getText(), q.getBlob()
	return r, nil
}

func (s *Store) CaughtRequests(ctx context.Context, id telltale.BinID, page telltale.Page) ([]telltale.CaughtRequest, error) {
	return s.listCaught(ctx, id, page, caughtColumns)
}

func (s *Store) CaughtHeads(ctx context.Context, id telltale.BinID, page telltale.Page) ([]telltale.CaughtRequest, error) {
	return s.listCaught(ctx, id, page, headColumns)
}

func (s *Store) listCaught(ctx context.Context, id telltale.BinID, page telltale.Page, columns string) ([]telltale.CaughtRequest, error) {
	var caught []telltale.CaughtRequest
	err := s.read(ctx, "listing what a bin caught", func(c *conn) error {
		l := list{page: page, key: "id"}
		l.where("bin = ?", string(id))
		l.pageByText()
		return l.each(c, columns, func(q *query) error {
			r, err := scanCaught(q, id)
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
	err = s.read(ctx, "finding what a bin caught", func(c *conn) error {
		var broken error
		found, err := c.query(caughtColumns + ` WHERE bin = ? AND id = ?`).text(string(id)).text(string(request)).one(func(q *query) { r, broken = scanCaught(q, id) })
		if err == nil && !found {
			return notFound("request")
		}
		return errors.Join(err, broken)
	})
	return r, err
}
