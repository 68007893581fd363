//! Checks in the background whether a database accepts writes, for readiness.

use std::{fs, io, sync::Arc, time::Duration};

use parking_lot::Mutex;
use runtime::{Background, NoAnswer, Rounds};
use tokio::time::Instant;

use crate::{Database, DatabaseError, StatementTimeout, database_file::DatabaseFile};

/// How often it is checked.
const INTERVAL: Duration = Duration::from_secs(1);
/// A database that has not answered for this long counts as not accepting writes.
const STALE: Duration = Duration::from_secs(3);
/// The bytes that are written to see whether there is space.
const ROOM: usize = 64 * 1024;
/// Writes to the disk on PostgreSQL without changing anything: a result that does not fit into memory is written to a
/// temporary file.
const SPILL: &str = "SET LOCAL work_mem = '64kB'; SELECT count(*) FROM generate_series(1, 8192)";

/// Checks about once a second whether a database accepts writes. Cheap to clone, and to ask.
#[derive(Debug, Clone)]
pub struct WriteProbe(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    at: Instant,
    answer: Result<(), String>,
}

impl WriteProbe {
    /// Starts the checks in the `background`. Until the first result, the database counts as writable.
    #[must_use]
    pub fn start(database: Database, background: &Background) -> Self {
        let probe = Self(Arc::new(Mutex::new(State { at: Instant::now(), answer: Ok(()) })));
        let asking = probe.clone().ask(database, Rounds::every(INTERVAL, background.stop()));
        background.spawn_until_stopped("write probe", asking);
        probe
    }

    /// The last result: whether the database accepts writes.
    ///
    /// # Errors
    /// The reason, in a sentence for operators.
    pub fn state(&self) -> Result<(), String> {
        let state = self.0.lock();
        let silent = state.at.elapsed();
        if state.answer.is_ok() && silent > STALE {
            return Err(format!("the database has not answered for {} s", silent.as_secs()));
        }
        state.answer.clone()
    }

    async fn ask(self, database: Database, mut rounds: Rounds) {
        while rounds.next().await {
            let answer = database.can_write().await.map_err(|error| error.to_string());
            {
                let mut state = self.0.lock();
                match (&state.answer, &answer) {
                    (Ok(()), Err(reason)) => {
                        tracing::warn!(reason, url = database.url(), "the database takes no writes");
                    }
                    (Err(_), Ok(())) => {
                        tracing::info!(url = database.url(), "the database takes writes again")
                    }
                    _ => {}
                }
                *state = State { at: Instant::now(), answer };
            }
        }
    }
}

impl Database {
    /// Checks that the database accepts writes into `table`: like [`Self::can_write`], and the table must not be
    /// locked.
    ///
    /// # Errors
    /// When it does not accept them.
    pub async fn can_write_to(&self, table: &'static str) -> Result<(), DatabaseError> {
        self.can_write().await?;
        let mut transaction = self.begin().await?;
        if self.is_postgres() {
            // The same lock as a write takes; released when the transaction ends.
            transaction.run(&format!("LOCK TABLE {table} IN ROW EXCLUSIVE MODE")).await?;
        } else {
            let sql = format!("SELECT 1 FROM {table} LIMIT 1");
            transaction.fetch_optional(&sql, &[]).await?;
        }
        transaction.commit().await
    }

    /// Checks that the database accepts writes: that it is not read-only, its disk is not full, and no other process
    /// has locked the file. Changes nothing and costs little; [`WriteProbe`] calls it for readiness.
    ///
    /// # Errors
    /// When it does not accept them.
    pub async fn can_write(&self) -> Result<(), DatabaseError> {
        if self.is_postgres() {
            let mut transaction = self.begin().await?;
            let sql =
                "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' AS read_only";
            let row = transaction.fetch_optional(sql, &[]).await?;
            if row.map(|row| row.boolean("read_only")).transpose()? == Some(true) {
                return Err(DatabaseError::ReadOnly);
            }
            return transaction.run(SPILL).await;
        }
        // An immediate transaction takes the writers' lock.
        self.begin().await?.commit().await?;
        let Some(file) = self.file() else { return Ok(()) };
        let file = file.clone();
        match self.probes().run(move || write_beside(&file)).await {
            Err(NoAnswer) => Err(DatabaseError::Late { limit: StatementTimeout::Request.limit() }),
            Ok(result) => Ok(result.map_err(sqlx::Error::Io)?),
        }
    }
}

/// SQLite writes to the disk only when its cache is full or a transaction ends, so a file beside it shows whether
/// there is space.
fn write_beside(file: &DatabaseFile) -> io::Result<()> {
    file.is_in_place()?;
    let probe = file.path.with_added_extension("probe");
    let written = fs::write(&probe, vec![0_u8; ROOM]);
    match fs::remove_file(&probe) {
        // Another process has removed it after its own probe.
        Err(error) if error.kind() == io::ErrorKind::NotFound => written,
        removed => written.and(removed),
    }
}
