//! The statements on the table of keys. Only the expression for the time differs between the databases.

use std::time::Duration;

use database::{Database, Dialect};

#[derive(Debug)]
pub(super) struct Statements {
    pub(super) insert: String,
    pub(super) find: String,
    pub(super) answer: String,
    pub(super) take_over: String,
    pub(super) complete: String,
    pub(super) release: String,
    pub(super) release_all: String,
    pub(super) forget: String,
}

impl Statements {
    pub(super) fn new(operations: &Database) -> Self {
        let now = Dialect::of(operations).now();
        Self {
            insert: format!(
                "INSERT INTO idempotency_keys \
                     (owner, key, request_hash, task_id, tasks_before, lease, leased_until, created_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, {now} + $7, {now}) ON CONFLICT (owner, key) DO NOTHING"
            ),
            find: format!(
                "SELECT request_hash, task_id, response, progress, tasks_before, leased_until, \
                     leased_until - {now} AS micros_left \
                 FROM idempotency_keys WHERE owner = $1 AND key = $2"
            ),
            answer: "SELECT response FROM idempotency_keys WHERE owner = $1 AND key = $2".to_owned(),
            take_over: format!(
                "UPDATE idempotency_keys SET lease = $3, leased_until = {now} + $4 \
                 WHERE owner = $1 AND key = $2 AND response IS NULL AND leased_until = $5"
            ),
            complete: "UPDATE idempotency_keys SET response = $1, progress = NULL, tasks_before = NULL, leased_until = 0 \
                 WHERE owner = $2 AND key = $3 AND response IS NULL AND (lease = $4 OR $5)"
                .to_owned(),
            release: "UPDATE idempotency_keys SET leased_until = 0, progress = coalesce($1, progress) \
                 WHERE owner = $2 AND key = $3 AND lease = $4 AND response IS NULL"
                .to_owned(),
            release_all: "UPDATE idempotency_keys SET leased_until = 0 WHERE response IS NULL".to_owned(),
            forget: "DELETE FROM idempotency_keys WHERE owner = $1 AND key = $2 AND response = $3".to_owned(),
        }
    }
}

/// A duration in the unit of the tables, microseconds.
pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
