-- +goose Up

-- Who did what is only ever added to. What is older than it is kept for may go:
-- 399 days and not 400, as telltale.AuditMemory says, since an entry's id, by which
-- it goes, is some milliseconds older than its time.
-- +goose StatementBegin
CREATE TRIGGER audit_entry_stays BEFORE UPDATE ON audit_entry BEGIN
	SELECT raise(ABORT, 'the audit log is only added to');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_entry_is_kept BEFORE DELETE ON audit_entry WHEN old.at > (unixepoch() - 399 * 86400) * 1000 BEGIN
	SELECT raise(ABORT, 'the audit log is only added to');
END;
-- +goose StatementEnd
-- INSERT OR REPLACE runs no trigger of what it deletes.
-- +goose StatementBegin
CREATE TRIGGER audit_entry_is_not_replaced BEFORE INSERT ON audit_entry WHEN EXISTS (SELECT 1 FROM audit_entry WHERE id = new.id) BEGIN
	SELECT raise(ABORT, 'the audit log is only added to');
END;
-- +goose StatementEnd
