-- +goose Up

-- Times are milliseconds since 1970, durations nanoseconds unless a comment
-- says otherwise. number.go tells what the numbers of events, deliveries and
-- attempts are, code.go what small numbers stand for.

CREATE TABLE meta (
	name  TEXT PRIMARY KEY,
	value ANY NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO meta VALUES
	('salt', randomblob(16)), -- of the ids of deliveries
	('outage_end', 0),        -- when our last outage ended
	('lag_least', 0),         -- how long after an event's receipt it was numbered, in
	('lag_most', 0);          -- ms: the least and the most that ever was

-- One row per start of the server.
CREATE TABLE node (
	number     INTEGER PRIMARY KEY,
	id         TEXT    NOT NULL,
	started_at INTEGER NOT NULL,
	beat_at    INTEGER
) STRICT;

CREATE TABLE project (
	number      INTEGER PRIMARY KEY,
	id          TEXT    NOT NULL UNIQUE,
	slug        TEXT    NOT NULL UNIQUE,
	name        TEXT    NOT NULL,
	ingest_rate REAL    NOT NULL,
	created_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE api_key (
	id           TEXT    PRIMARY KEY,
	project      INTEGER NOT NULL, -- 0 for owner keys
	name         TEXT    NOT NULL,
	scope        TEXT    NOT NULL,
	hash         BLOB    NOT NULL UNIQUE,
	created_at   INTEGER NOT NULL,
	last_used_at INTEGER,
	revoked_at   INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX api_key_project ON api_key (project, id);

CREATE TABLE webhook (
	number           INTEGER PRIMARY KEY,
	id               TEXT    NOT NULL UNIQUE,
	project          INTEGER NOT NULL,
	version          INTEGER NOT NULL,
	url              TEXT    NOT NULL,
	events           INTEGER NOT NULL, -- a bit per type
	description      TEXT    NOT NULL,
	enabled          INTEGER NOT NULL,
	disabled_reason  INTEGER NOT NULL,
	deleted_at       INTEGER,
	health           INTEGER NOT NULL,
	timeout          INTEGER NOT NULL,
	retry_schedule   TEXT,             -- a JSON array; NULL is the default schedule
	rate_limit       REAL    NOT NULL,
	concurrency      INTEGER NOT NULL,
	headers          BLOB,             -- sealed JSON
	basic_auth       BLOB,             -- sealed JSON
	extensions       INTEGER NOT NULL,
	legacy_signature INTEGER NOT NULL,
	format           TEXT    NOT NULL,
	secrets          BLOB,             -- sealed JSON; NULL once it is deleted
	-- A waiting delivery carries the epoch in which it began to wait. Enabling
	-- begins a new epoch: what waits from before was held, and is released.
	epoch            INTEGER NOT NULL,
	enabled_at       INTEGER NOT NULL,
	created_at       INTEGER NOT NULL,
	updated_at       INTEGER NOT NULL
) STRICT;

CREATE TABLE event (
	number              INTEGER PRIMARY KEY,
	id                  BLOB    NOT NULL,
	project             INTEGER NOT NULL,
	type                INTEGER NOT NULL,
	test                INTEGER NOT NULL,
	source              TEXT    NOT NULL,
	lag                 INTEGER NOT NULL, -- ms from receipt to number
	occurred            INTEGER NOT NULL, -- ms from occurrence to receipt
	user_id             TEXT,
	email               TEXT,
	message_id          TEXT,
	campaign_id         TEXT,
	url                 TEXT,
	ip                  TEXT,
	machine             INTEGER,
	provider_message_id TEXT,
	conversion_event    TEXT,
	caller_id           TEXT,
	payload             BLOB    NOT NULL
) STRICT;

CREATE UNIQUE INDEX event_id ON event (id);

-- What callers named their events, so that none is stored twice. The number is
-- the event's, which may be gone already.
CREATE TABLE caller (
	number  INTEGER PRIMARY KEY,
	key     BLOB    NOT NULL, -- hash of project and caller's id
	content BLOB    NOT NULL, -- hash of the input
	event   BLOB    NOT NULL  -- id
) STRICT;

CREATE UNIQUE INDEX caller_key ON caller (key);

CREATE TABLE delivery (
	number       INTEGER PRIMARY KEY,
	event        INTEGER NOT NULL,
	project      INTEGER NOT NULL,
	webhook      INTEGER NOT NULL,
	type         INTEGER NOT NULL,
	test         INTEGER NOT NULL,
	state        INTEGER NOT NULL,
	claim        INTEGER NOT NULL, -- the number of its last claim
	node         INTEGER NOT NULL, -- that claimed it last
	attempts     INTEGER NOT NULL,
	step         INTEGER NOT NULL,
	tries        INTEGER NOT NULL, -- attempts since the outage before the last attempt
	manual       INTEGER NOT NULL, -- the coming attempt: 0 automatic, 1 manual, 2 manual and the only one
	epoch        INTEGER NOT NULL, -- of the webhook, when this began to wait
	at           INTEGER NOT NULL, -- unfinished: when it is, or was, due; finished: since when
	last_attempt INTEGER NOT NULL, -- number of the row; before the first attempt the delivery's own
	first_at     INTEGER,          -- when the first attempt began, once there may be a second
	last_error   TEXT,
	last_status  INTEGER
) STRICT;

-- What waits, in the order in which it is claimed.
CREATE INDEX delivery_queue ON delivery (webhook, epoch, attempts > 0, at) WHERE state = 2;

-- All but what succeeded: to list by state, and to find what a crash left behind.
CREATE INDEX delivery_unsettled ON delivery (state, project, number, webhook) WHERE state <> 4;

CREATE TABLE attempt (
	number     INTEGER PRIMARY KEY,
	delivery   INTEGER NOT NULL,
	previous   INTEGER, -- attempt of the same delivery
	attempt    INTEGER NOT NULL,
	trigger    INTEGER NOT NULL,
	node       INTEGER NOT NULL,
	started_at INTEGER NOT NULL,
	duration   INTEGER NOT NULL, -- microseconds
	status     INTEGER NOT NULL,
	error      TEXT,
	failure    TEXT,
	detail     TEXT,
	exchange   BLOB,    -- see exchange.go
	body       BLOB     -- what the receiver answered
) STRICT;

-- Which spans of numbers hold rows of an owner: see span.go.
CREATE TABLE span (
	owner INTEGER NOT NULL,
	span  INTEGER NOT NULL,
	types INTEGER NOT NULL, -- a bit per type of event in it
	PRIMARY KEY (owner, span)
) STRICT, WITHOUT ROWID;

-- Short hashes of users, addresses and messages, many events to a row: see digest.go.
CREATE TABLE digest (
	first   INTEGER PRIMARY KEY, -- number of the first event in it
	last    INTEGER NOT NULL,
	entries BLOB    NOT NULL
) STRICT;

CREATE TABLE bin (
	id         TEXT    PRIMARY KEY,
	project    INTEGER NOT NULL,
	created_at INTEGER NOT NULL,
	expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX bin_project ON bin (project, created_at);

CREATE TABLE caught_request (
	number      INTEGER PRIMARY KEY,
	bin         TEXT    NOT NULL,
	id          TEXT    NOT NULL,
	received_at INTEGER NOT NULL,
	remote_addr TEXT    NOT NULL,
	method      TEXT    NOT NULL,
	path        TEXT    NOT NULL,
	headers     BLOB    NOT NULL,
	body        BLOB    NOT NULL,
	truncated   INTEGER NOT NULL,
	verdict     TEXT    NOT NULL
) STRICT;

CREATE UNIQUE INDEX caught_request_bin ON caught_request (bin, id);
