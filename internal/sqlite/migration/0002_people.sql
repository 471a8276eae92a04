-- +goose Up

CREATE TABLE operator (
	id            TEXT    PRIMARY KEY,
	email         TEXT    NOT NULL UNIQUE,
	role          TEXT    NOT NULL,
	password_hash TEXT    NOT NULL,
	theme         TEXT    NOT NULL,
	no_shortcuts  INTEGER NOT NULL,
	created_at    INTEGER NOT NULL,
	last_login_at INTEGER,
	disabled_at   INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE session (
	hash        BLOB    PRIMARY KEY,
	operator    TEXT    NOT NULL, -- empty before the sign-in
	user_agent  TEXT    NOT NULL,
	remote_addr TEXT    NOT NULL,
	created_at  INTEGER NOT NULL,
	seen_at     INTEGER NOT NULL,
	expires_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX session_operator ON session (operator, seen_at);
CREATE INDEX session_expiry ON session (expires_at);

-- Links that were not used yet.
CREATE TABLE link (
	hash       BLOB    PRIMARY KEY,
	purpose    TEXT    NOT NULL,
	operator   TEXT    NOT NULL, -- of a reset
	email      TEXT    NOT NULL, -- of an invitation
	role       TEXT    NOT NULL, -- likewise
	created_at INTEGER NOT NULL,
	expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX link_operator ON link (operator);
CREATE INDEX link_expiry ON link (expires_at);

-- Who did what. Rows are only added, and removed when they are old.
CREATE TABLE audit_entry (
	id          TEXT    PRIMARY KEY,
	project     INTEGER NOT NULL, -- 0 for what concerns the whole server
	at          INTEGER NOT NULL,
	actor_kind  TEXT    NOT NULL,
	actor_id    TEXT    NOT NULL,
	actor_name  TEXT    NOT NULL,
	remote_addr TEXT    NOT NULL,
	request     TEXT    NOT NULL,
	action      TEXT    NOT NULL,
	target      TEXT    NOT NULL,
	name        TEXT    NOT NULL,
	changes     TEXT              -- a JSON array
) STRICT, WITHOUT ROWID;

CREATE INDEX audit_project ON audit_entry (project, id);
CREATE INDEX audit_action ON audit_entry (project, action, id);
CREATE INDEX audit_target ON audit_entry (project, target, id);

-- Requests that their callers named, and what was answered; an answer of NULL
-- is under way.
CREATE TABLE idempotency (
	key     BLOB    PRIMARY KEY, -- hash of project, API key and name
	content BLOB    NOT NULL,    -- hash of the request
	at      INTEGER NOT NULL,
	answer  TEXT                 -- JSON
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_age ON idempotency (at);

-- When it was disabled last. Of what is disabled already, the last change is the
-- best that is known.
ALTER TABLE webhook ADD COLUMN disabled_at INTEGER;
UPDATE webhook SET disabled_at = updated_at WHERE NOT enabled;

-- Deleted webhooks whose secrets are kept, in case the deletion is taken back.
CREATE INDEX webhook_undo ON webhook (deleted_at) WHERE deleted_at IS NOT NULL AND secrets IS NOT NULL;

ALTER TABLE bin ADD COLUMN answer TEXT; -- JSON; NULL answers 200
