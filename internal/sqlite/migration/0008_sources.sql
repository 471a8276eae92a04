-- +goose Up

-- The feeds of mail providers.
CREATE TABLE source (
	number      INTEGER PRIMARY KEY,
	id          TEXT    NOT NULL UNIQUE,
	project     INTEGER NOT NULL,
	version     INTEGER NOT NULL,
	token       TEXT    NOT NULL UNIQUE,
	provider    TEXT    NOT NULL,
	name        TEXT    NOT NULL,
	options     TEXT,             -- a JSON array; NULL if none is on
	enabled     INTEGER NOT NULL,
	created_at  INTEGER NOT NULL,
	updated_at  INTEGER NOT NULL,
	credentials BLOB              -- sealed JSON; NULL if there are none
) STRICT;

CREATE INDEX source_project ON source (project, id);

-- What came to a source: narrow, since one that is busy has its row written
-- again and again. 0 is never.
CREATE TABLE source_tally (
	source          INTEGER PRIMARY KEY, -- number
	requests        INTEGER NOT NULL DEFAULT 0,
	events          INTEGER NOT NULL DEFAULT 0,
	duplicates      INTEGER NOT NULL DEFAULT 0,
	ignored         INTEGER NOT NULL DEFAULT 0,
	unrecognised    INTEGER NOT NULL DEFAULT 0,
	refused         INTEGER NOT NULL DEFAULT 0,
	last_request_at INTEGER NOT NULL DEFAULT 0,
	last_event_at   INTEGER NOT NULL DEFAULT 0,
	last_failure_at INTEGER NOT NULL DEFAULT 0,
	last_failure    TEXT    NOT NULL DEFAULT ''
) STRICT;

-- Authentic requests that nobody understood. The body stands last, so that the
-- rest of a row is read without it.
CREATE TABLE unrecognised_request (
	number       INTEGER PRIMARY KEY,
	source       TEXT    NOT NULL, -- id, which no other source will ever have
	id           TEXT    NOT NULL,
	received_at  INTEGER NOT NULL,
	reason       TEXT    NOT NULL,
	content_type TEXT    NOT NULL,
	hash         BLOB    NOT NULL, -- of the body
	body         BLOB    NOT NULL
) STRICT;

CREATE UNIQUE INDEX unrecognised_request_source ON unrecognised_request (source, id);

CREATE UNIQUE INDEX unrecognised_request_body ON unrecognised_request (source, hash);

CREATE INDEX unrecognised_request_age ON unrecognised_request (received_at);

-- Sources that are gone, and of whose requests some are still to be removed.
CREATE TABLE source_gone (
	source TEXT PRIMARY KEY -- id
) STRICT, WITHOUT ROWID;

-- What senders may use once, and what it was used for.
CREATE TABLE nonce (
	key     BLOB    PRIMARY KEY, -- half of a hash of project and nonce
	content BLOB    NOT NULL,    -- hash of what it was used for
	at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX nonce_age ON nonce (at);

-- Whether opens and clicks that a machine made are not owed to the webhook.
ALTER TABLE webhook ADD COLUMN skip_machines INTEGER NOT NULL DEFAULT 0;

-- Why messages to a user should not be sent: see code.go.
ALTER TABLE profile ADD COLUMN suppression INTEGER;
ALTER TABLE profile ADD COLUMN suppressed_at INTEGER;
