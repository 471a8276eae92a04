-- +goose Up

-- Users of a project. Rows stand on the line of numbers, in the order in which
-- they were made.
CREATE TABLE profile (
	number          INTEGER PRIMARY KEY,
	id              BLOB    NOT NULL,
	project         INTEGER NOT NULL,
	user_id         TEXT    NOT NULL, -- canonical
	given_id        TEXT,             -- JSON; NULL for user_id in quotes
	email           TEXT,
	unsubscribed_at INTEGER,
	created_at      INTEGER,
	updated_at      INTEGER NOT NULL,
	former_ids      TEXT,             -- a JSON array, as are the two below
	tags            TEXT,
	channels        TEXT,
	properties      TEXT              -- a JSON object; NULL if it is empty
) STRICT;

CREATE UNIQUE INDEX profile_id ON profile (id);

CREATE UNIQUE INDEX profile_user ON profile (project, user_id);

CREATE INDEX profile_email ON profile (project, email) WHERE email IS NOT NULL;

CREATE INDEX profile_project ON profile (project);

CREATE INDEX profile_unsubscribed ON profile (project) WHERE unsubscribed_at IS NOT NULL;

CREATE TABLE profile_tag (
	project INTEGER NOT NULL,
	tag     TEXT    NOT NULL,
	profile INTEGER NOT NULL,
	PRIMARY KEY (project, tag, profile)
) STRICT, WITHOUT ROWID;

-- What users did, on the line of numbers.
CREATE TABLE tracked_event (
	number   INTEGER PRIMARY KEY,
	project  INTEGER NOT NULL,
	profile  INTEGER NOT NULL,
	name     TEXT    NOT NULL,
	occurred INTEGER NOT NULL, -- ms from occurrence to number
	message  TEXT,
	check_id TEXT,
	data     TEXT              -- a JSON object; NULL if it is empty
) STRICT;

CREATE INDEX tracked_event_profile ON tracked_event (profile);

-- Tracked events by which a repetition is known.
CREATE TABLE repetition (
	key        BLOB    PRIMARY KEY, -- half of a hash
	expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX repetition_expiry ON repetition (expires_at);

-- Profiles that are gone, and of whose tracked events some are still to follow:
-- to the profile that they went into, or, without one, to be removed.
CREATE TABLE profile_gone (
	profile INTEGER PRIMARY KEY,
	heir    INTEGER
) STRICT;

CREATE INDEX profile_gone_heir ON profile_gone (heir);

-- Jobs that forget a person.
CREATE TABLE erasure (
	number       INTEGER PRIMARY KEY,
	id           TEXT    NOT NULL UNIQUE,
	project      INTEGER NOT NULL,
	known        TEXT,             -- what their data stands under: a JSON array; NULL once it is complete
	last         INTEGER NOT NULL, -- the last number when it began: no later event is removed
	-- Where it stands: of what is known, all before this were looked for, and of
	-- this the events up to the place. Those whose deliveries were under way are
	-- left, 8 bytes each.
	which        INTEGER NOT NULL,
	place        INTEGER NOT NULL,
	left_over    BLOB,
	events       INTEGER NOT NULL, -- removed so far
	created_by   TEXT    NOT NULL,
	created_at   INTEGER NOT NULL,
	completed_at INTEGER
) STRICT;

CREATE INDEX erasure_project ON erasure (project, id);

CREATE INDEX erasure_open ON erasure (number) WHERE completed_at IS NULL;
