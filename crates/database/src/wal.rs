//! The -wal of a file of SQLite: emptying it, and keeping it from growing. By itself SQLite begins it again only in a moment in which
//! nobody reads from it, and where reads overlap there is none.

use std::{path::PathBuf, time::Duration};

use deadpool::managed::WeakPool;
use tokio::time::sleep;

use crate::{
    DatabaseError, PooledConnection, StatementTimeout, manager::Manager, pool::Connections,
    settings::BUSY_TIMEOUT,
};

/// How large it may grow before it is emptied.
const LARGEST: u64 = 64 << 20;
/// How often its size is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// How long a try waits until nobody reads from it any more. Nobody can write meanwhile.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// The pause after a try without success.
const PAUSE: Duration = Duration::from_secs(20);

/// For what can be done another time.
pub(crate) const A_MOMENT: Duration = Duration::from_millis(50);

/// Empties the -wal of `file` whenever it is large, until its connections are gone.
pub(crate) async fn keep_small(writer: WeakPool<Manager>, file: PathBuf) {
    let mut wal = file.into_os_string();
    wal.push("-wal");
    let mut pause = EVERY;
    loop {
        sleep(pause).await;
        pause = EVERY;
        let size = tokio::fs::metadata(&wal).await.map_or(0, |file| file.len());
        if size <= LARGEST {
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
    empty(&mut writer, LONGEST_WAIT).await
}

/// Empties the -wal, unless somebody reads from it for longer than `patience`. Returns whether it is empty. Whoever wants to
/// write waits meanwhile, here and in other processes.
pub(crate) async fn empty(writer: &mut PooledConnection, patience: Duration) -> Result<bool, DatabaseError> {
    let wait = |longest: Duration| format!("PRAGMA busy_timeout = {}", longest.as_millis());
    writer.execute(&wait(patience), &[]).await?;
    let emptied = writer.fetch_all("PRAGMA wal_checkpoint(TRUNCATE)", &[]).await;
    writer.execute(&wait(BUSY_TIMEOUT), &[]).await?;
    Ok(emptied?.first().map_or(Ok(0), |row| row.integer("busy"))? == 0)
}
