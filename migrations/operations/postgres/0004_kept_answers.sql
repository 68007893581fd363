-- An answer is kept without the texts of tasks, which are in the log. Answers that were kept whole are forgotten.
DELETE FROM idempotency_keys;
ALTER TABLE idempotency_keys ADD COLUMN lease UUID;   -- whose lease it is; a new one whenever it is taken over
ALTER TABLE idempotency_keys ADD COLUMN tasks_before TEXT;  -- the tasks when the key was first seen, as JSON, until it is answered

-- States of tasks with many events, so that their streams need not be read from the beginning. Any can be deleted at
-- any time; none counts before its last event was found in the log.
CREATE TABLE task_snapshots (
    task_id UUID   PRIMARY KEY,
    fold    BIGINT NOT NULL,  -- the version of the fold that made it
    version BIGINT NOT NULL,  -- of the task's stream
    state   TEXT   NOT NULL   -- the task without its texts, as JSON
);
CREATE INDEX task_snapshots_by_version ON task_snapshots (version);
