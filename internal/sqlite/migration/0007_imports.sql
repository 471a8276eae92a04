-- +goose Up

-- Jobs that read a CSV file. How far one is, is written in the transaction of
-- the changes that came of its rows.
CREATE TABLE import (
	number       INTEGER PRIMARY KEY,
	id           TEXT    NOT NULL UNIQUE,
	project      INTEGER NOT NULL,
	kind         INTEGER NOT NULL,
	name         TEXT    NOT NULL, -- of the file
	conversions  INTEGER NOT NULL, -- 1: events may convert messages
	state        INTEGER NOT NULL,
	bytes        INTEGER NOT NULL, -- of the file
	place        INTEGER NOT NULL, -- all before this byte was read
	rows         INTEGER NOT NULL, -- read
	line         INTEGER NOT NULL, -- the last one of the last row
	applied      INTEGER NOT NULL, -- rows
	refused      INTEGER NOT NULL, -- rows
	failure      TEXT    NOT NULL,
	created_by   TEXT    NOT NULL,
	created_at   INTEGER NOT NULL,
	completed_at INTEGER
) STRICT;

CREATE INDEX import_project ON import (project, id);

CREATE INDEX import_open ON import (state, project) WHERE state < 4; -- running and paused: see code.go

-- Rows that did not go in.
CREATE TABLE refused_row (
	import INTEGER NOT NULL,
	line   INTEGER NOT NULL, -- on which the row begins
	reason TEXT    NOT NULL,
	row    BLOB,
	PRIMARY KEY (import, line)
) STRICT, WITHOUT ROWID;
