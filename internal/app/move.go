package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/config"
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
// starts on the database.
//
// What is sealed is moved as it is, and is opened with the key that sealed it.
func Move(ctx context.Context, cfg config.Config, file string, moving func(Moving)) (Moved, error) {
	return move(ctx, cfg, file, 0, moving)
}

// move is Move with at most so many rows in a transaction; 0 stands for the usual.
func move(ctx context.Context, cfg config.Config, file string, portion int, moving func(Moving)) (moved Moved, err error) {
	defer func() {
		if err != nil && ctx.Err() != nil { // whatever was under way says so in words of its own
			err = ctx.Err()
		}
	}()
	url := string(cfg.DatabaseURL)
	moved = Moved{From: file, To: postgres.Location(url)}
	from, err := sqlite.OpenExport(ctx, file)
	if err != nil {
		return moved, err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	open, err := from.OpenImports(ctx)
	if err != nil {
		return moved, err
	}
	if open > 0 {
		return moved, telltale.Errorf(telltale.Conflict, "Imports have not ended, whose files are not in the database: start the server again, and let them end or cancel them.")
	}
	if moved.NewIDs, err = from.OwnIDs(ctx); err != nil {
		return moved, err
	}
	tables := from.Tables()
	to, err := postgres.OpenLoader(ctx, url, postgres.Origin{Salt: from.Salt, Starts: from.Starts, Last: from.Last, OutageEnd: from.OutageEnd, Portion: portion}, tables)
	if err != nil {
		return moved, err
	}
	defer func() { err = errors.Join(err, to.Close()) }()

	m := mover{from: from, to: to, moving: moving}
	for _, table := range tables {
		rows, err := from.Count(ctx, table)
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
	to          *postgres.Loader
	moving      func(Moving)
	done, total int64 // rows; done of the tables before
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
	rows, err := m.from.Rows(ctx, table, behind)
	if err != nil {
		return err
	}
	defer rows.Close()
	if err := m.to.Copy(ctx, table, rows.Columns, rows, tell); err != nil {
		return err
	}
	m.done += here
	return nil
}

func (m *mover) compare(ctx context.Context, table string) ([]MovedTable, error) {
	rows, err := m.from.Rows(ctx, table, nil)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	c, err := m.to.Compare(ctx, table, rows.Columns, rows, func(rows int64) { m.moving(Moving{MoveCompares, table, m.done + rows, m.total}) })
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
