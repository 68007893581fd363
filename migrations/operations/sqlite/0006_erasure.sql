-- Whose task it is, so that the snapshots of a person can be deleted. They are made again.
DROP TABLE task_snapshots;
CREATE TABLE task_snapshots (
    task_id TEXT    PRIMARY KEY,
    owner   TEXT    NOT NULL,
    fold    INTEGER NOT NULL,  -- the version of the fold that made it
    version INTEGER NOT NULL,  -- of the task's stream
    state   TEXT    NOT NULL   -- the task without its texts, as JSON
);
CREATE INDEX task_snapshots_by_version ON task_snapshots (version);
CREATE INDEX task_snapshots_by_owner ON task_snapshots (owner);

-- People whose erasure has begun, until everything that follows from it is done.
CREATE TABLE pending_erasures (
    subject  TEXT    PRIMARY KEY,
    begun_at INTEGER NOT NULL
);
