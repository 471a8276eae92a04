-- +goose Up

-- How far the store of another engine was moved into this database: see load.go.
-- Without a row, none was.
CREATE TABLE move (
	one          boolean PRIMARY KEY DEFAULT true CHECK (one),
	salt         bytea   NOT NULL, -- of the store, which tells it from all others
	starts       bigint  NOT NULL, -- how often a server had started on it
	began_at     bigint  NOT NULL,
	completed_at bigint            -- until then no node works here
);

CREATE TABLE move_table (
	name  text   PRIMARY KEY,
	place text   NOT NULL, -- key of the last row that is here: see load.go
	rows  bigint NOT NULL
);
