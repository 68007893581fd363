//! Limits the commands and batches that one person may have in this process at the same time, so that others get
//! their share.

use axum::{body::Body, response::Response};
use events::UserId;
use http_api::{ConcurrencyLimit, GuardedBody};
use runtime::KeyedPermit;

use super::batch::rate::BatchRate;

/// How many commands of one person run at the same time.
const COMMANDS_AT_ONCE: usize = 64;
/// The most commands of one person, including those that wait, except for those that wait for the answer to another one
/// with their idempotency key.
const MAX_COMMANDS: usize = 512;
/// How many batches of one person run at the same time.
const BATCHES_AT_ONCE: usize = 2;
/// The most batches of one person, including those that wait.
const MAX_BATCHES: usize = 10;
/// The most reads of the past of one person, including the waiting ones. One runs at a time.
const MAX_PAST_READS: usize = 64;

/// The limits of one person in this process.
pub(crate) struct ConcurrencyLimits {
    pub(super) commands: ConcurrencyLimit,
    pub(super) batches: ConcurrencyLimit,
    pub(super) past_reads: ConcurrencyLimit,
    pub(super) batch_rate: BatchRate,
}

impl ConcurrencyLimits {
    pub(crate) fn new() -> Self {
        Self {
            commands: ConcurrencyLimit::new("commands", COMMANDS_AT_ONCE, MAX_COMMANDS),
            batches: ConcurrencyLimit::new("batches", BATCHES_AT_ONCE, MAX_BATCHES),
            past_reads: ConcurrencyLimit::new("past-reads", 1, MAX_PAST_READS),
            batch_rate: BatchRate::new(),
        }
    }
}

/// Keeps the permit until the client has taken `response`: a long response stays in memory until then, and one person
/// must not have many of them.
pub(super) fn until_taken(response: Response, turn: KeyedPermit<UserId>) -> Response {
    response.map(|body| Body::new(GuardedBody::new(body, turn)))
}
