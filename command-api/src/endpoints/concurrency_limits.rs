//! Limits the commands and batches that one person may have in this process at the same time, so that others get
//! their share.

use std::time::Duration;

use axum::{body::Body, response::Response};
use events::UserId;
use http_api::{Allowance, GuardedBody};
use runtime::{KeyedPermit, KeyedSemaphore, NoKeyedPermit};

use super::batch::rate::BatchRate;
use crate::error::ApiError;

/// How many commands of one person run at the same time.
const COMMANDS_AT_ONCE: usize = 64;
/// The most commands of one person, including those that wait.
const MOST_COMMANDS: usize = 512;
/// How many batches of one person run at the same time.
const BATCHES_AT_ONCE: usize = 2;
/// The most batches of one person, including those that wait.
const MOST_BATCHES: usize = 10;
/// The most reads of the past of one person, including the waiting ones. One runs at a time.
const MOST_PAST_READS: usize = COMMANDS_AT_ONCE;
/// The longest wait of a command for the same person's others.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The limits of one person in this process.
pub(crate) struct ConcurrencyLimits {
    pub(super) commands: KeyedSemaphore<UserId>,
    pub(super) batches: KeyedSemaphore<UserId>,
    pub(super) past_reads: KeyedSemaphore<UserId>,
    pub(super) batch_rate: BatchRate,
}

impl ConcurrencyLimits {
    pub(crate) fn new() -> Self {
        Self {
            commands: KeyedSemaphore::new(COMMANDS_AT_ONCE, MOST_COMMANDS),
            batches: KeyedSemaphore::new(BATCHES_AT_ONCE, MOST_BATCHES),
            past_reads: KeyedSemaphore::new(1, MOST_PAST_READS),
            batch_rate: BatchRate::new(),
        }
    }
}

/// Waits for a permit of `person`.
pub(super) async fn turn(
    turns: &KeyedSemaphore<UserId>,
    person: UserId,
    allowance: Allowance,
) -> Result<KeyedPermit<UserId>, ApiError> {
    turns.take(person, TIMEOUT).await.map_err(|none| match none {
        NoKeyedPermit::Full => ApiError::TooMany(allowance),
        NoKeyedPermit::Late => ApiError::Late,
    })
}

/// Keeps the permit until the client has taken `response`: a long response stays in memory until then, and one person
/// must not have many of them.
pub(super) fn until_taken(response: Response, turn: KeyedPermit<UserId>) -> Response {
    response.map(|body| Body::new(GuardedBody::new(body, turn)))
}
