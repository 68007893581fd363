-- What an operator did, by whom and why, or how it ended: the payload of an `operation.` event, JSON. NULL for all others.
ALTER TABLE audit_log ADD COLUMN operation TEXT;
