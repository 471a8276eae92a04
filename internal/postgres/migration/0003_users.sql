-- +goose Up

-- The events that campaigns are to bring about.
CREATE TABLE goal (
	project    integer NOT NULL,
	campaign   text    NOT NULL COLLATE "C",
	event      text    NOT NULL, -- name, as given
	updated_at bigint  NOT NULL,
	PRIMARY KEY (project, campaign)
);

-- The events that messages of a project were to bring about by themselves: see
-- goal.go.
CREATE TABLE own_goal (
	project integer NOT NULL,
	event   text    NOT NULL COLLATE "C", -- name, as it is compared
	PRIMARY KEY (project, event)
);

-- Users of a project. Rows stand on the line of numbers, in the order in which
-- they were made. JSON is kept as bytes: what it says may be no text of the
-- database's. A page keeps room for what its rows become, so that most changes
-- touch no index.
CREATE TABLE profile (
	number          bigint   PRIMARY KEY,
	project         integer  NOT NULL,
	user_id         text     NOT NULL COLLATE "C", -- canonical
	given_id        text,              -- JSON; NULL for user_id in quotes
	email           text     COLLATE "C",
	unsubscribed_at bigint,
	suppression     smallint,          -- why messages to a user should not be sent: see internal/stored
	suppressed_at   bigint,
	created_at      bigint,
	updated_at      bigint   NOT NULL,
	former_ids      bytea,             -- a JSON array, as are the two below
	tags            bytea,
	channels        bytea,
	properties      bytea              -- a JSON object; NULL if it is empty
) WITH (fillfactor = 85);

CREATE UNIQUE INDEX profile_user ON profile (project, user_id);
CREATE INDEX profile_email ON profile (project, email, number) WHERE email IS NOT NULL;
CREATE INDEX profile_project ON profile (project, number);
CREATE INDEX profile_unsubscribed ON profile (project, number) WHERE unsubscribed_at IS NOT NULL;

CREATE TABLE profile_tag (
	project integer NOT NULL,
	tag     text    NOT NULL COLLATE "C",
	profile bigint  NOT NULL,
	PRIMARY KEY (project, tag, profile)
);

-- What users did, on the line of numbers.
CREATE TABLE tracked_event (
	number      bigint  PRIMARY KEY,
	project     integer NOT NULL,
	profile     bigint  NOT NULL,
	name        text    NOT NULL,
	occurred_at bigint  NOT NULL,
	message     text,
	check_id    text,
	data        bytea   -- a JSON object; NULL if it is empty
);

CREATE INDEX tracked_event_profile ON tracked_event (profile, number);

-- Tracked events by which a repetition is known.
CREATE TABLE repetition (
	key        bytea  PRIMARY KEY, -- half of a hash
	expires_at bigint NOT NULL
);

CREATE INDEX repetition_expiry ON repetition (expires_at);

-- Profiles that are gone, and of whose tracked events some are still to follow:
-- to the profile that they went into, or, without one, to be removed.
CREATE TABLE profile_gone (
	profile bigint PRIMARY KEY,
	heir    bigint
);

CREATE INDEX profile_gone_heir ON profile_gone (heir);
