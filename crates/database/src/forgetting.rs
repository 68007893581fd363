//! Removes the last traces of deleted rows from a SQLite file, by writing the whole file again. SQLite's
//! `secure_delete` overwrites deleted rows, but not the copies of them that remain where pages were divided. SQLite has
//! no way to write a page again by itself, or a file in parts, and nobody else can write to the file meanwhile. So a
//! large file is written again seldom.

use std::{io, path::Path, time::Duration};

use runtime::Backoff;
use rustix::fs::statvfs;
use tokio::time::Instant;

use crate::{
    Database, DatabaseError, StatementTimeout,
    wal::{SHORT_WAIT, empty},
};

/// A file is written again for one part in so many of the time at most: nobody else can write to it meanwhile.
const SHARE: u32 = 20;
/// If it takes longer than this, everybody notices it, and anybody can cause it by having an account erased: then it is
/// done once a day for all erasures of that day.
const LONG: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
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
    pub const fn of(database: Database) -> Self {
        Self { database, pace: Pace { due: None, backoff: BACKOFF } }
    }

    /// Forgets what was deleted before [`Database::owe_forgetting`] was called, now or in a later call.
    ///
    /// # Errors
    /// As [`Database::forget_deleted`].
    pub async fn forget_owed(&mut self) -> Result<(), DatabaseError> {
        let owed = "SELECT user_version AS owed FROM pragma_user_version WHERE user_version <> 0";
        let is_owed =
            self.database.file().is_some() && self.database.fetch_optional(owed, &[]).await?.is_some();
        if is_owed && self.forget_deleted().await? {
            self.database.execute("PRAGMA user_version = 0", &[]).await?;
        }
        Ok(())
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
        let result = self.database.write_again().await;
        self.pace.ended(&result, begun, Instant::now());
        result.map(|written| written.is_forgotten)
    }
}

/// The result of writing a file again.
#[derive(Debug, Default)]
struct Written {
    /// How long nobody else could write to it.
    took: Duration,
    /// Whether no trace of deleted rows is left: `false` if a reading transaction prevents this.
    is_forgotten: bool,
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

    fn ended(&mut self, result: &Result<Written, DatabaseError>, begun: Instant, now: Instant) {
        let mut pause = SHARE * now.duration_since(begun);
        match result {
            Ok(written) if written.took > LONG => pause = pause.max(DAY),
            Ok(_) => {}
            Err(_) => pause = pause.max(self.backoff.pause()),
        }
        if result.is_ok() {
            self.backoff.reset();
        }
        self.due = Some(now + pause);
    }
}

impl Database {
    /// Notes in a SQLite file that something was deleted which [`Forgetting::forget_owed`] has to forget, also after a
    /// restart. For files whose free number (`user_version`) means nothing else.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn owe_forgetting(&self) -> Result<(), DatabaseError> {
        if self.file().is_some() {
            self.execute("PRAGMA user_version = 1", &[]).await?;
        }
        Ok(())
    }

    /// Removes all traces of deleted rows from a SQLite file: rewrites it, which may take a while, and empties its
    /// -wal. Returns `false` if a reading transaction prevents this; it does not wait for it, so that writers are not
    /// delayed. PostgreSQL does this by itself.
    ///
    /// # Errors
    /// When the file cannot be written, or its disk has no room for it.
    pub async fn forget_deleted(&self) -> Result<bool, DatabaseError> {
        Ok(self.write_again().await?.is_forgotten)
    }

    async fn write_again(&self) -> Result<Written, DatabaseError> {
        let Some(file) = self.file() else {
            return Ok(Written { took: Duration::ZERO, is_forgotten: true });
        };
        let mut writer = self.writes().loan(StatementTimeout::Maintenance).await?;
        // Done first, because rewriting the file goes through the -wal, and would stay there as long as a reader
        // does.
        if !empty(&mut writer, SHORT_WAIT).await? {
            return Ok(Written::default());
        }
        check_room(&file.path).map_err(sqlx::Error::Io)?;
        let begun = Instant::now();
        writer.execute("VACUUM", &[]).await?;
        let is_forgotten = empty(&mut writer, SHORT_WAIT).await?;
        Ok(Written { took: begun.elapsed(), is_forgotten })
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
        empty(&mut writer, SHORT_WAIT).await
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
        let mut pace = Pace { due: None, backoff: BACKOFF };
        let mut now = Instant::now();
        let seconds = Duration::from_secs;
        assert!(pace.is_due(now));
        // Waiting for its turn disturbs nobody.
        for (writing, took, pause) in [(0, 10, 200), (1, 1, 20), (2, 2, 86_400), (60, 61, 86_400)] {
            // Whoever reads at the end does not let it be repeated sooner: it disturbed everybody as long.
            for is_forgotten in [true, false] {
                let begun = now;
                now += seconds(took);
                let written = Written { took: seconds(writing), is_forgotten };
                pace.ended(&Ok(written), begun, now);
                assert!(!pace.is_due(now + seconds(pause - 1)));
                assert!(pace.is_due(now + seconds(pause)));
                now += seconds(pause);
            }
        }
        let failed = || Err(DatabaseError::ReadOnly);
        for at_least in [5, 10, 20, 40, 80, 160, 320, 640, 1280, 1800, 1800] {
            pace.ended(&failed(), now, now);
            assert!(!pace.is_due(now + seconds(at_least - 1)), "{at_least}");
            assert!(pace.is_due(now + seconds(2 * at_least)), "{at_least}");
        }
        pace.ended(&Ok(Written::default()), now, now);
        assert!(pace.is_due(now));
    }
}
