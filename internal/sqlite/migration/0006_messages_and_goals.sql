-- +goose Up

-- Which events bear which names: see name.go. A run holds those of a stretch of
-- the line of numbers, sorted by their hashes, in blocks.
CREATE TABLE name_run (
	number INTEGER PRIMARY KEY,
	level  INTEGER NOT NULL, -- 0 for what came in, one more for what was made of four
	first  INTEGER NOT NULL, -- number of the first event in it
	last   INTEGER NOT NULL,
	target INTEGER NOT NULL, -- run that it is being moved into; 0 for none
	place  INTEGER           -- how many blocks of each of its sources were moved into it; NULL once all were
) STRICT;

CREATE TABLE name_block (
	key     INTEGER PRIMARY KEY, -- number of the run, and of the block in it
	entries BLOB NOT NULL        -- name and number of an event, again and again
) STRICT;

-- The number up to which names are in runs. What a store holds already is not
-- named after the fact.
INSERT INTO meta VALUES ('named', coalesce((SELECT max(number) FROM event), 0));

-- Why the message of a conversion is credited with it: see code.go. A column of
-- the event would be simpler to read, and have every row of the table checked
-- when it is added.
CREATE TABLE credit (
	event  INTEGER PRIMARY KEY, -- number
	credit INTEGER NOT NULL
) STRICT;

-- The events that campaigns are to bring about.
CREATE TABLE goal (
	project    INTEGER NOT NULL,
	campaign   TEXT    NOT NULL,
	event      TEXT    NOT NULL, -- name, as given
	updated_at INTEGER NOT NULL,
	PRIMARY KEY (project, campaign)
) STRICT, WITHOUT ROWID;

-- The events that messages of a project were to bring about by themselves: see
-- goal.go.
CREATE TABLE own_goal (
	project INTEGER NOT NULL,
	event   TEXT    NOT NULL, -- name, as it is compared
	PRIMARY KEY (project, event)
) STRICT, WITHOUT ROWID;

-- Within which time of a message its goal counts, in nanoseconds.
ALTER TABLE project ADD COLUMN conversion_window INTEGER NOT NULL DEFAULT 2592000000000000;
ALTER TABLE project ADD COLUMN view_window INTEGER NOT NULL DEFAULT 2592000000000000;
