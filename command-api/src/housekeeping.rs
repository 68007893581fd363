//! Deletes rows that are not needed any more from the tables of the role, once an hour.

use std::time::Duration;

use database::{Database, DatabaseError};
use runtime::Rounds;
use tokio_util::sync::CancellationToken;

use crate::{handling::clean_up_snapshots, idempotency::clean_up};

const INTERVAL: Duration = Duration::from_secs(3_600);

/// Deletes old keys and surplus snapshots, until `stop` is cancelled.
pub(crate) async fn keep_house(operations: Database, stop: CancellationToken) {
    let mut rounds = Rounds::every(INTERVAL, stop);
    while rounds.next().await {
        report("idempotency keys", clean_up(&operations).await);
        report("snapshots of tasks", clean_up_snapshots(&operations).await);
    }
}

fn report(what: &str, result: Result<u64, DatabaseError>) {
    match result {
        Ok(0) => {}
        Ok(deleted) => tracing::info!(deleted, "deleted old {what}"),
        Err(error) => tracing::warn!(%error, "cannot delete old {what}, trying again in an hour"),
    }
}
