//! Begins transactions of operators that block the projectors. None waits long for a lock, since everybody would have
//! to wait behind it. Instead it gives up, lets the projectors continue, and tries again.

use std::time::Duration;

use database::{Database, DatabaseError, Transaction};
use futures::future::BoxFuture;

use crate::projecting::apply::{LOCK_TIMEOUT, is_lock_timeout};

const TRIES: u32 = 20;
/// The pause between two attempts, in which the projectors continue.
const PAUSE: Duration = Duration::from_secs(1);

/// A transaction in which `lock` has taken its locks.
///
/// # Errors
/// When the locks are not available in all attempts, or `lock` fails otherwise.
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

/// Waits for the running transactions of all projectors, and blocks new ones until this transaction ends.
pub(super) async fn lock_all(tx: &mut Transaction) -> Result<(), DatabaseError> {
    let sql = "LOCK TABLE checkpoints IN SHARE ROW EXCLUSIVE MODE";
    tx.execute(sql, &[]).await.map(drop)
}
