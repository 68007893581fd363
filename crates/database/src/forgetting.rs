//! Leaves nothing of deleted rows in a file of SQLite. That takes writing all of it again: SQLite's `secure_delete` overwrites what
//! is deleted, but not the copies of rows that are left where pages were divided.

use std::{io, path::Path, time::Duration};

use runtime::Backoff;
use rustix::fs::statvfs;
use tokio::time::Instant;

use crate::{
    Database, DatabaseError, StatementTimeout,
    wal::{A_MOMENT, empty},
};

/// A file is written again for one part in so many of the time at most: nobody else can write to it meanwhile.
const SHARE: u32 = 20;
/// After a failure.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(10), Duration::from_secs(60 * 60));
/// How often the file must fit into what is free on its disk: into a temporary file, into the -wal, and some more.
const TIMES_FREE: u64 = 3;

/// Forgets what was deleted from a database, as often as its size allows.
#[derive(Debug)]
pub struct Forgetting {
    database: Database,
    pace: Pace,
}

impl Forgetting {
    /// Nothing has been forgotten of it yet.
    #[must_use]
    pub const fn of(database: Database) -> Self {
        Self {
            database,
            pace: Pace {
                due: None,
                backoff: BACKOFF,
            },
        }
    }

    /// As [`Database::forget_deleted`], unless the last time was too short a while ago: then nothing is done.
    ///
    /// # Errors
    /// As there.
    pub async fn forget_deleted(&mut self) -> Result<bool, DatabaseError> {
        let begun = Instant::now();
        if !self.pace.is_due(begun) {
            return Ok(false);
        }
        let result = self.database.forget_deleted().await;
        self.pace.ended(result.is_ok(), begun, Instant::now());
        result
    }
}

#[derive(Debug)]
struct Pace {
    due: Option<Instant>,
    backoff: Backoff,
}

impl Pace {
    fn is_due(&self, now: Instant) -> bool {
        self.due.is_none_or(|due| due <= now)
    }

    fn ended(&mut self, is_ok: bool, begun: Instant, now: Instant) {
        let mut pause = SHARE * now.duration_since(begun);
        if is_ok {
            self.backoff.reset();
        } else {
            pause = pause.max(self.backoff.pause());
        }
        self.due = Some(now + pause);
    }
}

impl Database {
    /// Removes all traces of deleted rows from a SQLite file: rewrites it, which may take a while, and empties its
    /// -wal. Returns `false` if a reading transaction prevents this; it does not wait for it, so that writers are not
    /// delayed. PostgreSQL does this by itself.
    ///
    /// # Errors
    /// When the file cannot be written, or its disk has no room for it.
    pub async fn forget_deleted(&self) -> Result<bool, DatabaseError> {
        let Some(file) = self.file() else {
            return Ok(true);
        };
        let mut writer = self.writes().loan(StatementTimeout::Maintenance).await?;
        // Done first, because rewriting the file goes through the -wal, and would stay there as long as a reader
        // does.
        if !empty(&mut writer, A_MOMENT).await? {
            return Ok(false);
        }
        check_room(file).map_err(sqlx::Error::Io)?;
        writer.execute("VACUUM", &[]).await?;
        empty(&mut writer, A_MOMENT).await
    }

    /// Empties the -wal of a SQLite file, and returns whether it is empty: `false` if a reading transaction prevents
    /// this. It does not wait for it, so that writers are not delayed. PostgreSQL has none.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn empty_wal(&self) -> Result<bool, DatabaseError> {
        if self.is_postgres() {
            return Ok(true);
        }
        let mut writer = self.writes().loan(StatementTimeout::Request).await?;
        empty(&mut writer, A_MOMENT).await
    }
}

/// A try that fails fills the disk on its way, and everybody else finds it full.
fn check_room(file: &Path) -> io::Result<()> {
    let size = file.metadata()?.len();
    let disk = statvfs(file)?;
    if disk.f_bavail.saturating_mul(disk.f_frsize) < TIMES_FREE * size {
        let problem = format!(
            "to write {} again, so that nothing deleted is left in it, takes {TIMES_FREE} times its size of free disk",
            file.display()
        );
        return Err(io::Error::new(io::ErrorKind::StorageFull, problem));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_it_takes_and_the_more_often_it_fails_the_rarer_it_is_done() {
        let mut pace = Pace {
            due: None,
            backoff: BACKOFF,
        };
        let mut now = Instant::now();
        let seconds = Duration::from_secs;
        assert!(pace.is_due(now));
        for took in [1, 60] {
            let begun = now;
            now += seconds(took);
            pace.ended(true, begun, now);
            assert!(!pace.is_due(now + seconds(20 * took - 1)));
            assert!(pace.is_due(now + seconds(20 * took)));
        }
        for at_least in [5, 10, 20, 40, 80, 160, 320, 640, 1280, 1800, 1800] {
            pace.ended(false, now, now);
            assert!(!pace.is_due(now + seconds(at_least - 1)), "{at_least}");
            assert!(pace.is_due(now + seconds(2 * at_least)), "{at_least}");
        }
        pace.ended(true, now, now);
        assert!(pace.is_due(now));
    }
}
