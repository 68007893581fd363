-- What one request did to what one person has, however many requests of others have the same id.
CREATE INDEX audit_log_by_request ON audit_log (subject, correlation_id, recorded_at, position);
