-- +goose Up

-- The id of a profile follows from its number, as a delivery's does, and is empty
-- in its row. Those that were made before keep the one that they have.
DROP INDEX profile_id;
CREATE UNIQUE INDEX profile_id ON profile (id) WHERE id <> x'';

-- Lists of a project's profiles go by its spans: see span.go.
DROP INDEX profile_project;
INSERT INTO span (owner, span, types) SELECT DISTINCT -project, number >> 20, 1 FROM profile;
