//! Empties the -wal of a SQLite file, so that it does not grow without limit. SQLite itself starts writing it from the
//! beginning again only when nobody reads from it, and where reads overlap there is always a reader.

use std::{path::PathBuf, time::Duration};

use deadpool::managed::WeakPool;
use tokio::time::sleep;

use crate::{
    DatabaseError, PooledConnection, StatementTimeout, database_file::beside, manager::Manager,
    pool::Connections, settings::BUSY_TIMEOUT,
};

/// The size from which a -wal is emptied.
const MAX_BYTES: u64 = 64 << 20;
/// The interval at which the size of a -wal is checked.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long an attempt to empty a -wal waits for its readers. Nobody can write meanwhile.
const MAX_WAIT: Duration = Duration::from_secs(2);
/// The pause after a failed attempt.
const PAUSE: Duration = Duration::from_secs(20);

/// How long to wait for readers when emptying the -wal is not urgent.
pub(crate) const SHORT_WAIT: Duration = Duration::from_millis(50);

/// Empties the -wal of `file` whenever it is large, until its connections are gone.
pub(crate) async fn keep_small(writer: WeakPool<Manager>, file: PathBuf) {
    let wal = beside(&file, "-wal");
    let mut pause = INTERVAL;
    loop {
        sleep(pause).await;
        pause = INTERVAL;
        let size = tokio::fs::metadata(&wal).await.map_or(0, |file| file.len());
        if size <= MAX_BYTES {
            continue;
        }
        let Some(pool) = writer.upgrade() else { return };
        match empty_soon(&Connections::of(pool)).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::debug!(wal = ?wal, size, "somebody reads from the -wal for a while: it cannot be emptied now");
                pause = PAUSE;
            }
            Err(error) => {
                tracing::warn!(%error, wal = ?wal, size, "the -wal cannot be emptied");
                pause = PAUSE;
            }
        }
    }
}

async fn empty_soon(writer: &Connections) -> Result<bool, DatabaseError> {
    let mut writer = writer.loan(StatementTimeout::Request).await?;
    empty(&mut writer, MAX_WAIT).await
}

/// Empties the -wal, after waiting up to `patience` for its readers. Returns whether it is empty. Writers of this
/// process and of others wait meanwhile.
pub(crate) async fn empty(writer: &mut PooledConnection, patience: Duration) -> Result<bool, DatabaseError> {
    let wait = |longest: Duration| format!("PRAGMA busy_timeout = {}", longest.as_millis());
    writer.execute(&wait(patience), &[]).await?;
    let emptied = writer.fetch_all("PRAGMA wal_checkpoint(TRUNCATE)", &[]).await;
    writer.execute(&wait(BUSY_TIMEOUT), &[]).await?;
    Ok(emptied?.first().map_or(Ok(0), |row| row.integer("busy"))? == 0)
}
