//! Transactions of operators that hold up projectors. None waits long for a lock: whoever is at work on a checkpoint, or reads a
//! table, and does not come to an end would have everybody wait. Instead the projectors go on, and it is tried again.

use std::time::Duration;

use database::{Database, DatabaseError, Transaction};
use futures::future::BoxFuture;

use crate::projecting::apply::{LOCK_TIMEOUT, is_lock_timeout};

/// How often it is tried, and the pause between two tries, in which the projectors go on.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_secs(1);

/// A transaction in which `lock` has taken its locks.
///
/// # Errors
/// When they are not to be had, or `lock` fails otherwise.
pub(super) async fn begin_with_locks(
    read_models: &Database,
    lock: impl for<'a> Fn(&'a mut Transaction) -> BoxFuture<'a, Result<(), DatabaseError>>,
) -> Result<Transaction, DatabaseError> {
    let mut tries = 1;
    loop {
        let mut tx = read_models.begin_with_lock_timeout(LOCK_TIMEOUT).await?;
        match lock(&mut tx).await {
            Ok(()) => return Ok(tx),
            Err(error) if is_lock_timeout(&error) && tries < TRIES => {
                drop(tx);
                tries += 1;
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Waits for every projector, and holds it up until the transaction ends.
pub(super) async fn lock_all(tx: &mut Transaction) -> Result<(), DatabaseError> {
    let sql = "LOCK TABLE checkpoints IN SHARE ROW EXCLUSIVE MODE";
    tx.execute(sql, &[]).await.map(drop)
}
