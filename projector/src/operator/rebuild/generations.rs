//! The live, shadow and previous tables: three schemas of one PostgreSQL database, or three SQLite files.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use database::{Database, LockMode, LockName, LockSession, Schema, StatementTimeout, WatchedLock};
use runtime::private_files;

use super::RebuildError;

/// Has a row if there is a schema of the name $1.
pub(super) const SCHEMA_OF_NAME: &str = "SELECT nspname::text AS name FROM pg_namespace WHERE nspname = $1";
/// The lock of the one running rebuild, on PostgreSQL.
const LOCK: LockName = LockName::Text("taskledger.rebuild");
/// The most connections of a rebuild to each set of tables.
const CONNECTIONS: u32 = 6;

/// One of the sets of tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Generation {
    Live,
    Shadow,
    /// The tables that were live before.
    Previous,
}

impl Generation {
    pub(super) const fn schema(self) -> Schema {
        match self {
            Self::Live => Schema::ReadModels,
            Self::Shadow => Schema::ReadModelsShadow,
            Self::Previous => Schema::ReadModelsPrevious,
        }
    }

    const fn extension(self) -> &'static str {
        match self {
            Self::Live => "db",
            Self::Shadow => "shadow.db",
            Self::Previous => "previous.db",
        }
    }
}

/// All sets of tables.
#[derive(Debug)]
pub(super) struct Generations {
    url: String,
    /// The file of the live tables, on SQLite.
    file: Option<PathBuf>,
}

impl Generations {
    /// `url` is the URL of the live tables.
    pub(super) fn new(url: &str) -> Self {
        let file = url.strip_prefix("sqlite:").map(|path| {
            let path = path.strip_prefix("//").unwrap_or(path);
            PathBuf::from(path.split('?').next().unwrap_or(path))
        });
        Self { url: url.to_owned(), file }
    }

    /// The file of these tables, on SQLite.
    pub(super) fn file(&self, generation: Generation) -> Option<PathBuf> {
        self.file.as_ref().map(|live| live.with_extension(generation.extension()))
    }

    /// The file for a copy of the live tables before they are replaced, on SQLite.
    pub(super) fn copy(&self) -> Option<PathBuf> {
        self.file.as_ref().map(|live| live.with_extension("previous.db.new"))
    }

    /// Opens these tables, and creates or migrates them if necessary.
    pub(super) async fn open(&self, generation: Generation) -> Result<Database, RebuildError> {
        let url = match (generation, self.file(generation)) {
            (Generation::Live, _) | (_, None) => self.url.clone(),
            (_, Some(file)) => Database::file_url(&file),
        };
        let database = Database::open(&url, generation.schema(), CONNECTIONS).await?;
        Ok(database.with_statement_timeout(StatementTimeout::Maintenance))
    }

    pub(super) async fn exists(&self, live: &Database, generation: Generation) -> Result<bool, RebuildError> {
        if let Some(file) = self.file(generation) {
            return Ok(file.exists());
        }
        let name = generation.schema().name();
        let row = live.fetch_optional(SCHEMA_OF_NAME, &[name.into()]).await?;
        Ok(row.is_some())
    }

    /// The lock of the one running rebuild, on SQLite.
    pub(super) fn lock_files(&self) -> Result<Lock, RebuildError> {
        let path = self.file.as_ref().map(|live| live.with_extension("rebuild.lock")).unwrap_or_default();
        let file = private_files::open_locked(&path).map_err(failed("lock", &path))?;
        file.map(Lock::File).ok_or(RebuildError::AlreadyRunning)
    }

    /// Removes these tables, unless they are live.
    pub(super) async fn remove(&self, live: &Database, generation: Generation) -> Result<(), RebuildError> {
        if generation == Generation::Live {
            return Ok(());
        }
        match self.file(generation) {
            Some(file) => remove_files(&file),
            None => {
                let name = generation.schema().name();
                live.execute(&format!("DROP SCHEMA IF EXISTS {name} CASCADE"), &[]).await?;
                Ok(())
            }
        }
    }

    /// After `generation` was made live on SQLite: removes its file, and makes the copy of the old tables the
    /// previous one.
    pub(super) fn keep_previous(&self, generation: Generation) -> Result<(), RebuildError> {
        let (Some(used), Some(copy), Some(previous)) =
            (self.file(generation), self.copy(), self.file(Generation::Previous))
        else {
            return Ok(());
        };
        remove_files(&used)?;
        remove_files(&previous)?;
        fs::rename(&copy, &previous).map_err(failed("rename", &copy))
    }
}

/// Removes a SQLite database with the files beside it.
pub(super) fn remove_files(file: &Path) -> Result<(), RebuildError> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut path = file.as_os_str().to_owned();
        path.push(suffix);
        let path = PathBuf::from(path);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("remove", &path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RebuildError {
    let path = path.display().to_string();
    move |source| RebuildError::File { what, path, source }
}

/// The lock of the one running rebuild; released when dropped, also by `kill -9`. That of PostgreSQL may be lost, as
/// when the server is restarted or this process stands still.
pub(super) enum Lock {
    File(#[expect(dead_code, reason = "held, not read")] File),
    Session(WatchedLock),
}

impl Lock {
    pub(super) async fn take(places: &Generations, live: &Database) -> Result<Self, RebuildError> {
        if let Some(server) = live.postgres() {
            let mut session = LockSession::open(server).await?;
            return match session.try_take(LOCK, LockMode::Exclusive).await? {
                true => Ok(Self::Session(session.watched())),
                false => Err(RebuildError::AlreadyRunning),
            };
        }
        places.lock_files()
    }

    /// Returns when the lock is lost.
    pub(super) async fn lost(&self) {
        match self {
            Self::File(_) => std::future::pending().await,
            Self::Session(lock) => lock.lost().await,
        }
    }

    /// Fails if the lock is lost. Asks the server.
    pub(super) async fn check(&self) -> Result<(), RebuildError> {
        match self {
            Self::File(_) => Ok(()),
            Self::Session(lock) => match lock.is_held().await {
                true => Ok(()),
                false => Err(RebuildError::LockLost),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use test_support::TestDatabase;

    use super::*;

    #[tokio::test]
    async fn postgres_does_not_end_the_session_that_holds_the_lock() {
        let server = TestDatabase::create().await;
        let sql = format!("ALTER DATABASE {} SET idle_session_timeout = '200ms'", server.name());
        server.run_outside(&sql).await;
        let url = server.url();
        let live = Database::open(url.as_str(), Schema::ReadModels, 2).await.unwrap();
        let places = Generations::new(url.as_str());
        let _lock = Lock::take(&places, &live).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let second = Lock::take(&places, &live).await;
        assert!(matches!(second, Err(RebuildError::AlreadyRunning)));
    }
}
