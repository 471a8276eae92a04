package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/config"
	"telltale.example/telltale/internal/imports"
	"telltale.example/telltale/internal/postgres"
	"telltale.example/telltale/internal/sqlite"
)

// Moved is what became of a store that was moved into another database.
type Moved struct {
	From   string       `json:"from"` // file
	To     string       `json:"to"`   // without a password
	Tables []MovedTable `json:"tables"`
	// NewIDs is how many profiles got an id that follows from their number, in
	// place of one that they had from before that.
	NewIDs int64 `json:"profiles_with_new_ids,omitempty"`
}

// MovedTable holds what both databases have of a table, or of its rows in a state.
type MovedTable struct {
	Table     string   `json:"table"`
	State     string   `json:"state,omitempty"`
	From      int64    `json:"from"`                // rows
	To        int64    `json:"to"`                  // rows
	Differing []string `json:"differing,omitempty"` // columns whose values do not add up to the same
}

// Same reports whether both have the same.
func (t MovedTable) Same() bool { return t.From == t.To && len(t.Differing) == 0 }

// Same reports whether all of the store is in the other database.
func (m Moved) Same() bool {
	for _, t := range m.Tables {
		if !t.Same() {
			return false
		}
	}
	return true
}

// Moving tells how far a move is: what it does, with which table, and how many of
// all rows that was done with.
type Moving struct {
	Step, Table string
	Done, Total int64
}

// Steps of a move.
const (
	MoveCopies   = "copying"
	MoveCompares = "comparing"
)

// Move puts everything of the SQLite store in the file, which no server may have
// open, into the PostgreSQL database of the configuration, which must be empty or
// have a part of this store from a move that did not end; and compares both. It
// tells moving how far it is. If they differ, the move has not ended, and no server
// starts on the database. Conflict, if the databases are not fit for that move;
// Unavailable, if PostgreSQL cannot be reached.
//
// What is sealed is moved as it is, and is opened with the key that sealed it.
func Move(ctx context.Context, cfg config.Config, file string, moving func(Moving)) (Moved, error) {
	return move(ctx, cfg, file, 0, moving)
}

// move is Move with at most so many rows in a transaction; 0 stands for the usual.
func move(ctx context.Context, cfg config.Config, file string, portion int, moving func(Moving)) (moved Moved, err error) {
	defer func() {
		switch {
		case err == nil:
		case ctx.Err() != nil: // whatever was under way says so in words of its own
			err = ctx.Err()
		case postgres.Away(err):
			err = &telltale.Error{Code: telltale.Unavailable, Message: "The database cannot be reached. Run the command again when it can: it goes on behind what is moved.", Cause: err}
		}
	}()
	url := string(cfg.DatabaseURL)
	moved = Moved{From: file, To: postgres.Location(url)}
	from, err := sqlite.OpenExport(ctx, file)
	if err != nil {
		return moved, err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	m := mover{from: from, files: imports.Folder(filepath.Join(filepath.Dir(file), ImportsFolder)), moving: moving}
	if m.imports, err = from.OpenImports(ctx); err != nil {
		return moved, err
	}
	if moved.NewIDs, err = from.OwnIDs(ctx); err != nil {
		return moved, err
	}
	tables := append(from.Tables(), postgres.ImportChunks)
	to, err := postgres.OpenLoader(ctx, url, postgres.Origin{Salt: from.Salt, Starts: from.Starts, Last: from.Last, OutageEnd: from.OutageEnd, Portion: portion}, tables)
	if err != nil {
		return moved, err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	m.to = to
	for _, table := range tables {
		rows, err := m.count(ctx, table)
		if err != nil {
			return moved, err
		}
		m.total += rows
	}
	for _, table := range tables {
		if err := m.copy(ctx, table); err != nil {
			return moved, err
		}
	}
	if err := to.Settle(ctx, tables); err != nil {
		return moved, err
	}
	m.done = 0
	for _, table := range tables {
		found, err := m.compare(ctx, table)
		if err != nil {
			return moved, err
		}
		moved.Tables = append(moved.Tables, found...)
	}
	if !moved.Same() {
		return moved, nil
	}
	return moved, to.Complete(ctx)
}

// mover is a move under way.
type mover struct {
	from        *sqlite.Export
	files       imports.Folder
	imports     []telltale.ImportID // whose files are moved
	to          *postgres.Loader
	moving      func(Moving)
	done, total int64 // rows; done of the tables before
}

// movedRows are rows of a table of the store, or what the database has of files as rows.
type movedRows interface {
	postgres.LoadedRows
	Close()
}

func (m *mover) rows(ctx context.Context, table string, behind []any) (columns []string, rows movedRows, err error) {
	if table == postgres.ImportChunks {
		rows, err := newFileRows(ctx, m.files, m.imports, behind)
		return fileColumns, rows, err
	}
	found, err := m.from.Rows(ctx, table, behind)
	if err != nil {
		return nil, nil, err
	}
	return found.Columns, found, nil
}

func (m *mover) count(ctx context.Context, table string) (n int64, err error) {
	if table != postgres.ImportChunks {
		return m.from.Count(ctx, table)
	}
	_, rows, err := m.rows(ctx, table, nil)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		n++
	}
	return n, rows.Err()
}

func (m *mover) copy(ctx context.Context, table string) error {
	here, behind, err := m.to.Place(ctx, table)
	if err != nil {
		return err
	}
	tell := func(rows int64) {
		here = rows
		m.moving(Moving{MoveCopies, table, m.done + rows, m.total})
	}
	tell(here)
	columns, rows, err := m.rows(ctx, table, behind)
	if err != nil {
		return err
	}
	defer rows.Close()
	if err := m.to.Copy(ctx, table, columns, rows, tell); err != nil {
		return err
	}
	m.done += here
	return nil
}

func (m *mover) compare(ctx context.Context, table string) ([]MovedTable, error) {
	columns, rows, err := m.rows(ctx, table, nil)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	c, err := m.to.Compare(ctx, table, columns, rows, func(rows int64) { m.moving(Moving{MoveCompares, table, m.done + rows, m.total}) })
	if err != nil {
		return nil, err
	}
	m.done += c.Rows
	found := []MovedTable{{Table: table, From: c.Rows, To: c.Moved, Differing: c.Differing}}
	for _, s := range c.States {
		found = append(found, MovedTable{Table: table, State: s.State, From: s.Rows, To: s.Moved})
	}
	return found, nil
}

// fileRows cuts the files of imports into rows. A file that is not there is left
// out: its import fails, as it would have.
type fileRows struct {
	ctx    context.Context //nolint:containedctx // the reading's own
	folder imports.Folder
	ids    []telltale.ImportID // from the present one on
	file   telltale.ImportFile // of the first of ids; nil before it is opened
	chunk  int64               // the next one
	values []any
	buffer []byte
	err    error
}

var fileColumns = []string{"import", "n", "at", "bytes"}

// newFileRows begins at the first file, or behind the row with that key.
func newFileRows(ctx context.Context, folder imports.Folder, ids []telltale.ImportID, behind []any) (*fileRows, error) {
	r := &fileRows{ctx: ctx, folder: folder, ids: ids, buffer: make([]byte, postgres.ImportChunkBytes)}
	if behind == nil {
		return r, nil
	}
	id, isID := behind[0].(string)
	chunk, isChunk := behind[len(behind)-1].(int64)
	if !isID || !isChunk {
		return nil, fmt.Errorf("%v is no place in the files of imports", behind)
	}
	for len(r.ids) > 0 && string(r.ids[0]) < id {
		r.ids = r.ids[1:]
	}
	if len(r.ids) > 0 && string(r.ids[0]) == id {
		r.chunk = chunk + 1
	}
	return r, nil
}

// Next reads the next chunk. The first of a file is there even if it is empty.
func (r *fileRows) Next() bool {
	for r.err == nil && len(r.ids) > 0 {
		if r.err = r.open(); r.err != nil {
			return false
		}
		if r.file != nil {
			n, err := io.ReadFull(r.file, r.buffer)
			if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				r.err = fmt.Errorf("the file of the import %s: %w", r.ids[0], err)
				return false
			}
			if n > 0 || r.chunk == 0 {
				r.values = []any{string(r.ids[0]), r.chunk, int64(0), r.buffer[:n]}
				r.chunk++
				return true
			}
		}
		r.Close()
		r.ids, r.chunk = r.ids[1:], 0
	}
	return false
}

// open opens the present file where the next chunk begins, unless it is open.
func (r *fileRows) open() error {
	if r.file != nil {
		return nil
	}
	file, err := r.folder.OpenFile(r.ctx, r.ids[0])
	if telltale.CodeOf(err) == telltale.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	r.file = file
	_, err = file.Seek(r.chunk*postgres.ImportChunkBytes, io.SeekStart)
	return err
}

func (r *fileRows) Values() []any        { return r.values }
func (r *fileRows) Key(into []any) []any { return append(into[:0], r.values[:2]...) }
func (r *fileRows) Err() error           { return r.err }

// Close closes the file that is open.
func (r *fileRows) Close() {
	if r.file != nil {
		_ = r.file.Close() // it was only read
		r.file = nil
	}
}

// StoreFile gives the file of the store that a person names: by its data folder,
// by the file, or by "sqlite", which is the configuration's own.
func StoreFile(cfg config.Config, name string) (string, error) {
	path := name
	if name == "sqlite" {
		path = cfg.Data
	}
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		path = filepath.Join(path, DatabaseFile)
		_, err = os.Stat(path)
	}
	if err != nil {
		return "", fmt.Errorf("there is no store: %w", err)
	}
	return filepath.Abs(path)
}
