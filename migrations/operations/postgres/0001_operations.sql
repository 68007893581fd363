-- Answers to commands that carried an Idempotency-Key, kept for at least 24 hours.
CREATE TABLE idempotency_keys (
    owner        UUID NOT NULL,
    key          TEXT NOT NULL,
    request_hash BYTEA NOT NULL,           -- SHA-256 of method, path, precondition and body
    task_id      UUID NOT NULL,           -- the task that the command is about; chosen at the first try of a creation
    response     TEXT,                   -- the first answer as JSON, once there is one
    leased_until BIGINT NOT NULL,           -- until then one process works on the command and others wait for its answer
    created_at   BIGINT NOT NULL,           -- microseconds since 1970-01-01T00:00:00Z, as everywhere
    PRIMARY KEY (owner, key)
);
CREATE INDEX idempotency_keys_by_created_at ON idempotency_keys (created_at);

-- How far the relay has published the log, for each partition.
CREATE TABLE relay_progress (
    partitions BIGINT NOT NULL,             -- into how many partitions the log is split
    partition  BIGINT NOT NULL,
    position   BIGINT NOT NULL,             -- the last event of this partition that was published
    read_up_to BIGINT NOT NULL,             -- everything in the log up to here has been looked at
    PRIMARY KEY (partitions, partition)
);
