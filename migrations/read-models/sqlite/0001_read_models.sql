-- Everything here is projected from the log and can be rebuilt from it. Instants are microseconds since
-- 1970-01-01T00:00:00Z.

CREATE TABLE tasks (
    id           TEXT   PRIMARY KEY,
    owner        TEXT   NOT NULL,
    title        TEXT   NOT NULL,
    title_sort   TEXT   NOT NULL,  -- folded for sorting, see events/src/text.rs
    description  TEXT,
    status       TEXT   NOT NULL,              -- open, in_progress, done, cancelled
    priority     INTEGER NOT NULL,              -- 0 low, 1 normal, 2 high, 3 urgent
    due          TEXT,                         -- as written: a day or an instant
    due_at       INTEGER,                       -- where it stands in time
    overdue_at   INTEGER,                       -- when it becomes overdue
    tags         TEXT   NOT NULL,              -- JSON array
    tag_list     TEXT   NOT NULL,  -- each tag between two U+001F, for LIKE
    search_text  TEXT   NOT NULL,  -- title, description and tags, folded for searching
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    completed_at INTEGER,
    deleted_at   INTEGER,
    version      INTEGER NOT NULL,
    position     INTEGER NOT NULL,              -- of the last event that changed it
    -- What sorting by due date compares: empty values come last either way. Columns and not just expressions
    -- of the indexes, since SQLite begins a range of two values only at columns.
    due_ascending  INTEGER NOT NULL GENERATED ALWAYS AS (COALESCE(due_at, 9223372036854775807)) STORED,
    due_descending INTEGER NOT NULL GENERATED ALWAYS AS (COALESCE(due_at, -9223372036854775807)) STORED
);
-- One index for each order that GET /tasks can sort by, so that a page reads only its own rows.
CREATE INDEX tasks_by_created_at ON tasks (owner, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX tasks_by_updated_at ON tasks (owner, updated_at, id) WHERE deleted_at IS NULL;
CREATE INDEX tasks_by_due_ascending ON tasks (owner, due_ascending, id) WHERE deleted_at IS NULL;
CREATE INDEX tasks_by_due_descending ON tasks (owner, due_descending, id) WHERE deleted_at IS NULL;
CREATE INDEX tasks_by_priority ON tasks (owner, priority, id) WHERE deleted_at IS NULL;
CREATE INDEX tasks_by_title ON tasks (owner, title_sort, id) WHERE deleted_at IS NULL;
CREATE INDEX tasks_in_trash ON tasks (owner, created_at, id) WHERE deleted_at IS NOT NULL;

CREATE TABLE accounts (
    id            TEXT    PRIMARY KEY,
    email         TEXT    NOT NULL,
    display_name  TEXT,
    roles         TEXT    NOT NULL,            -- JSON array
    disabled      BOOLEAN NOT NULL,
    created_at    INTEGER  NOT NULL,
    updated_at    INTEGER  NOT NULL,
    version       INTEGER  NOT NULL,
    position      INTEGER  NOT NULL
);
CREATE INDEX accounts_by_created_at ON accounts (created_at, id);

CREATE TABLE sessions (
    id                TEXT   PRIMARY KEY,
    account           TEXT   NOT NULL,
    started_at        INTEGER NOT NULL,
    last_refreshed_at INTEGER NOT NULL,
    expires_at        INTEGER NOT NULL,
    ip                TEXT,
    user_agent        TEXT,
    ended_at          INTEGER,
    end_reason        TEXT,
    version           INTEGER NOT NULL,
    position          INTEGER NOT NULL
);
CREATE INDEX sessions_by_account ON sessions (account, started_at);

-- One row for every event of the log.
CREATE TABLE audit_log (
    position       INTEGER PRIMARY KEY,
    stream         TEXT   NOT NULL,
    version        INTEGER NOT NULL,
    event_id       TEXT   NOT NULL,
    type           TEXT   NOT NULL,
    subject        TEXT   NOT NULL,
    actor          TEXT   NOT NULL,  -- a user's id, operator or system
    correlation_id TEXT   NOT NULL,
    causation_id   TEXT   NOT NULL,
    recorded_at    INTEGER NOT NULL
);
CREATE INDEX audit_log_by_subject ON audit_log (subject, position);

-- How far each partition has been projected. Written in the transaction that writes the rows.
CREATE TABLE checkpoints (
    partitions INTEGER NOT NULL,                -- into how many partitions the log is split
    partition  INTEGER NOT NULL,
    position   INTEGER NOT NULL,                -- everything of this partition up to here has been projected
    PRIMARY KEY (partitions, partition)
);

-- Events that could not be projected, and everything later of their streams.
CREATE TABLE parked_events (
    position    INTEGER PRIMARY KEY,
    stream      TEXT   NOT NULL,
    version     INTEGER NOT NULL,
    type        TEXT   NOT NULL,
    subject     TEXT   NOT NULL,
    reason      TEXT   NOT NULL,
    attempts    INTEGER NOT NULL
);
CREATE INDEX parked_events_by_stream ON parked_events (stream, version);

-- Events that an operator gave up on: a projection passes over them, also when it begins anew.
CREATE TABLE discarded_events (
    position INTEGER PRIMARY KEY,
    stream   TEXT   NOT NULL,
    version  INTEGER NOT NULL,
    type     TEXT   NOT NULL,
    subject  TEXT   NOT NULL,
    reason   TEXT   NOT NULL
);

-- People who were erased: nothing about them is projected any more, also not from events that are read again.
CREATE TABLE erased_subjects (
    subject  TEXT   PRIMARY KEY,
    position INTEGER NOT NULL                  -- of the event that erased them
);
