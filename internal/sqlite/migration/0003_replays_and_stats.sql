-- +goose Up

-- Jobs that send stored events again.
CREATE TABLE replay (
	number        INTEGER PRIMARY KEY,
	id            TEXT    NOT NULL UNIQUE,
	project       INTEGER NOT NULL,
	target        INTEGER NOT NULL, -- webhook that the events go to; 0: the one that each was owed to
	webhook       INTEGER NOT NULL, -- whose deliveries are asked about; 0: the target's, or each one's
	which         INTEGER NOT NULL,
	types         INTEGER NOT NULL, -- a bit per type; 0: what the webhook wants
	since         INTEGER NOT NULL, -- of receipt; 0: from the first event on
	until         INTEGER NOT NULL, -- likewise; 0: up to the start of the replay
	deliveries    BLOB,             -- that were chosen: their numbers, 8 bytes each, by event; NULL: all events that match
	last          INTEGER NOT NULL, -- the last number when it began: no later event is sent
	rate          REAL    NOT NULL,
	state         INTEGER NOT NULL,
	planned       INTEGER NOT NULL,
	made          INTEGER NOT NULL,
	succeeded     INTEGER NOT NULL,
	failed        INTEGER NOT NULL,
	-- Where it stands: all before this event was seen to, and of the event all
	-- webhooks up to this. Of chosen deliveries, how many were.
	place         INTEGER NOT NULL,
	place_webhook INTEGER NOT NULL,
	created_by    TEXT    NOT NULL,
	created_at    INTEGER NOT NULL,
	completed_at  INTEGER
) STRICT;

CREATE INDEX replay_project ON replay (project, id);

CREATE INDEX replay_open ON replay (state, project) WHERE state < 4; -- running and paused: see code.go

-- The replay that made it. Such a delivery does not stand behind its event.
ALTER TABLE delivery ADD COLUMN replay INTEGER;

CREATE INDEX delivery_replay ON delivery (replay, number) WHERE replay IS NOT NULL;

CREATE INDEX delivery_replayed ON delivery (event, number) WHERE replay IS NOT NULL;

-- What of a replay still waits: to know how far it is ahead of the receivers.
CREATE INDEX delivery_replay_open ON delivery (replay, attempts > 0, webhook) WHERE replay IS NOT NULL AND state = 2;

-- What the last attempt got, unless it succeeded: 3, 4 and 5 for a status of
-- that hundred, 0 for all else.
CREATE INDEX delivery_answer ON delivery (project, iif(last_status BETWEEN 300 AND 599, last_status / 100, 0), number, webhook) WHERE last_error IS NOT NULL;

-- What happened, counted in steps of five minutes (coarse 0) and of an hour
-- (coarse 1). The row of webhook 0 counts events. See stat.go.
CREATE TABLE stat (
	coarse  INTEGER NOT NULL,
	start   INTEGER NOT NULL, -- in steps since 1970
	project INTEGER NOT NULL,
	webhook INTEGER NOT NULL,
	type    INTEGER NOT NULL,
	counts  BLOB    NOT NULL,
	PRIMARY KEY (coarse, start, project, webhook, type)
) STRICT, WITHOUT ROWID;

-- The number up to which the line is counted. What a store holds already is
-- not counted after the fact.
INSERT INTO meta VALUES ('counted', max(
	coalesce((SELECT max(number) FROM event), 0), coalesce((SELECT max(number) FROM delivery), 0), coalesce((SELECT max(number) FROM attempt), 0)));
