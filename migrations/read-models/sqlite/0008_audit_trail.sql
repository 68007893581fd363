-- The newest first, for each column that the audit trail can be filtered by.
DROP INDEX audit_log_by_subject;
CREATE INDEX audit_log_by_time ON audit_log (recorded_at, position);
CREATE INDEX audit_log_by_subject ON audit_log (subject, recorded_at, position);
CREATE INDEX audit_log_by_actor ON audit_log (actor, recorded_at, position);
CREATE INDEX audit_log_by_type ON audit_log (type, recorded_at, position);
CREATE INDEX audit_log_by_stream ON audit_log (stream, recorded_at, position);
CREATE INDEX audit_log_by_correlation_id ON audit_log (correlation_id, recorded_at, position);
