-- +goose Up

-- What was noted of changes of the secret key: JSON of stored.Rotation.
ALTER TABLE meta ADD COLUMN rotation text NOT NULL DEFAULT '{}';

-- Names of the secret keys that a node has, with commas, the one that seals first.
-- Nodes of versions before do not tell.
ALTER TABLE node ADD COLUMN keys text NOT NULL DEFAULT '';

-- Who did what is only ever added to. What is older than it is kept for may go:
-- 399 days and not 400, as telltale.AuditMemory says, so that clocks do not matter.
-- +goose StatementBegin
CREATE FUNCTION audit_entry_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_OP = 'DELETE' AND old.at <= telltale_now() - 399 * 86400000::bigint THEN
		RETURN old;
	END IF;
	RAISE EXCEPTION 'the audit log is only added to';
END
$$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION audit_log_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'the audit log is only added to';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER audit_entry_stays BEFORE UPDATE OR DELETE ON audit_entry FOR EACH ROW EXECUTE FUNCTION audit_entry_stays();
CREATE TRIGGER audit_log_stays BEFORE TRUNCATE ON audit_entry FOR EACH STATEMENT EXECUTE FUNCTION audit_log_stays();
