-- +goose Up

-- What a webhook's attempts add up to: narrow, since a webhook that fails has
-- its row written with every transaction. Without a row there was no attempt.
CREATE TABLE standing (
	webhook         INTEGER PRIMARY KEY,
	revision        INTEGER NOT NULL,
	health          INTEGER NOT NULL,
	last_success_at INTEGER,
	failing_since   INTEGER,
	failures        INTEGER NOT NULL,
	blocked         INTEGER NOT NULL,
	warned          INTEGER NOT NULL,
	alarmed         INTEGER NOT NULL,
	reset_at        INTEGER,
	breaker         INTEGER NOT NULL, -- its state
	breaker_until   INTEGER,
	breaker_wait    INTEGER NOT NULL,
	breaker_proven  INTEGER NOT NULL,
	window_start    INTEGER,
	window          BLOB              -- attempts and failures of each minute, the latest first; varints
) STRICT;

INSERT INTO standing (webhook, revision, health, failures, blocked, warned, alarmed, breaker, breaker_wait, breaker_proven)
SELECT number, 1, health, 0, 0, 0, 0, 0, 0, 0 FROM webhook WHERE health <> 0;

ALTER TABLE webhook DROP COLUMN health;
