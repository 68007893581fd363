-- Whose task it is, so that the snapshots of a person can be deleted. They are made again.
DELETE FROM task_snapshots;
ALTER TABLE task_snapshots ADD COLUMN owner UUID NOT NULL;
CREATE INDEX task_snapshots_by_owner ON task_snapshots (owner);

-- People whose erasure has begun, until everything that follows from it is done.
CREATE TABLE pending_erasures (
    subject  UUID   PRIMARY KEY,
    begun_at BIGINT NOT NULL
);
