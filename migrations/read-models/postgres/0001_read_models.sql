-- Everything here is projected from the log and can be rebuilt from it. Instants are microseconds since
-- 1970-01-01T00:00:00Z.

CREATE TABLE tasks (
    id           UUID   PRIMARY KEY,
    owner        UUID   NOT NULL,
    title        TEXT   NOT NULL COLLATE "C",
    title_sort   TEXT   NOT NULL COLLATE "C",  -- folded for sorting, see events/src/text.rs
    description  TEXT,
    status       TEXT   NOT NULL,              -- open, in_progress, done, cancelled
    priority     BIGINT NOT NULL,              -- 0 low, 1 normal, 2 high, 3 urgent
    due          TEXT,                         -- as written: a day or an instant
    due_at       BIGINT,                       -- where it stands in time
    overdue_at   BIGINT,                       -- when it becomes overdue
    tags         TEXT   NOT NULL,              -- JSON array
    tag_list     TEXT   NOT NULL COLLATE "C",  -- each tag between two U+001F, for LIKE
    search_text  TEXT   NOT NULL COLLATE "C",  -- title, description and tags, folded for searching
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    completed_at BIGINT,
    deleted_at   BIGINT,
    version      BIGINT NOT NULL,
    position     BIGINT NOT NULL,              -- of the last event that changed it
    -- What sorting by due date compares: empty values come last either way. Columns and not just expressions
    -- of the indexes, since SQLite begins a range of two values only at columns.
    due_ascending  BIGINT NOT NULL GENERATED ALWAYS AS (COALESCE(due_at, 9223372036854775807)) STORED,
    due_descending BIGINT NOT NULL GENERATED ALWAYS AS (COALESCE(due_at, -9223372036854775807)) STORED
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
    id            UUID    PRIMARY KEY,
    email         TEXT    NOT NULL COLLATE "C",
    display_name  TEXT,
    roles         TEXT    NOT NULL,            -- JSON array
    disabled      BOOLEAN NOT NULL,
    created_at    BIGINT  NOT NULL,
    updated_at    BIGINT  NOT NULL,
    version       BIGINT  NOT NULL,
    position      BIGINT  NOT NULL
);
CREATE INDEX accounts_by_created_at ON accounts (created_at, id);

CREATE TABLE sessions (
    id                UUID   PRIMARY KEY,
    account           UUID   NOT NULL,
    started_at        BIGINT NOT NULL,
    last_refreshed_at BIGINT NOT NULL,
    expires_at        BIGINT NOT NULL,
    ip                TEXT,
    user_agent        TEXT,
    ended_at          BIGINT,
    end_reason        TEXT,
    version           BIGINT NOT NULL,
    position          BIGINT NOT NULL
);
CREATE INDEX sessions_by_account ON sessions (account, started_at);

-- One row for every event of the log.
CREATE TABLE audit_log (
    position       BIGINT PRIMARY KEY,
    stream         TEXT   NOT NULL COLLATE "C",
    version        BIGINT NOT NULL,
    event_id       UUID   NOT NULL,
    type           TEXT   NOT NULL COLLATE "C",
    subject        UUID   NOT NULL,
    actor          TEXT   NOT NULL COLLATE "C",  -- a user's id, operator or system
    correlation_id TEXT   NOT NULL,
    causation_id   UUID   NOT NULL,
    recorded_at    BIGINT NOT NULL
);
CREATE INDEX audit_log_by_subject ON audit_log (subject, position);

-- How far each partition has been projected. Written in the transaction that writes the rows.
CREATE TABLE checkpoints (
    partitions BIGINT NOT NULL,                -- into how many partitions the log is split
    partition  BIGINT NOT NULL,
    position   BIGINT NOT NULL,                -- everything of this partition up to here has been projected
    PRIMARY KEY (partitions, partition)
);

-- Events that could not be projected, and everything later of their streams.
CREATE TABLE parked_events (
    position    BIGINT PRIMARY KEY,
    stream      TEXT   NOT NULL COLLATE "C",
    version     BIGINT NOT NULL,
    type        TEXT   NOT NULL COLLATE "C",
    subject     UUID   NOT NULL,
    reason      TEXT   NOT NULL,
    attempts    BIGINT NOT NULL
);
CREATE INDEX parked_events_by_stream ON parked_events (stream, version);

-- Events that an operator gave up on: a projection passes over them, also when it begins anew.
CREATE TABLE discarded_events (
    position BIGINT PRIMARY KEY,
    stream   TEXT   NOT NULL COLLATE "C",
    version  BIGINT NOT NULL,
    type     TEXT   NOT NULL COLLATE "C",
    subject  UUID   NOT NULL,
    reason   TEXT   NOT NULL
);

-- People who were erased: nothing about them is projected any more, also not from events that are read again.
CREATE TABLE erased_subjects (
    subject  UUID   PRIMARY KEY,
    position BIGINT NOT NULL                  -- of the event that erased them
);
