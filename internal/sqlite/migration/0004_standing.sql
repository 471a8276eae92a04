-- +goose Up

-- How each webhook stands, as JSON; a row is written when something turns.
CREATE TABLE standing (
	webhook INTEGER PRIMARY KEY,
	value   TEXT NOT NULL
) STRICT;
