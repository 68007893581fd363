-- What each event of a task changed, in words that the API shows: see crates/read-models/src/task_history.rs. Events that
-- were projected before have no rows until the read models are rebuilt.
CREATE TABLE task_history (
    position       BIGINT PRIMARY KEY,
    task           UUID NOT NULL,
    owner          UUID NOT NULL,
    version        BIGINT NOT NULL,  -- of the task, after the event
    event_id       UUID NOT NULL,
    type           TEXT NOT NULL,
    actor          TEXT NOT NULL,
    correlation_id TEXT NOT NULL,
    recorded_at    BIGINT NOT NULL,
    changes        TEXT NOT NULL,    -- JSON array of {field, from, to}
    state          TEXT              -- JSON: the whole task, of every 64th version
);
CREATE INDEX task_history_by_version ON task_history (task, version);
CREATE INDEX task_history_by_time ON task_history (task, recorded_at, version);
CREATE INDEX task_history_by_owner ON task_history (owner, position);
CREATE INDEX task_history_states ON task_history (task, version) WHERE state IS NOT NULL;

-- For what has changed since a position, and for counts of all tasks of an owner, which read nothing else. The position comes
-- first because no list filters by it, so that no list takes this index for the one that keeps its order.
CREATE INDEX tasks_by_position ON tasks (
    owner, position, deleted_at, status, priority, due_at, overdue_at, completed_at
);
CREATE INDEX parked_events_by_subject ON parked_events (subject, position);
