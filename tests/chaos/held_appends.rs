//! Holds the appends of every process back, as another process that appends does.

use sqlx::{Connection as _, SqliteConnection};

use crate::harness::Harness;

/// Does `work` while nobody can append to the log. Not on KurrentDB, whose stand-in cannot do so.
pub(crate) async fn held_back<T>(harness: &Harness, work: impl Future<Output = T>) -> Result<T, sqlx::Error> {
    const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('taskledger.event_store', 0))";
    if harness.is_embedded {
        let url = harness.system.lock().await.database_url("events.db");
        let mut connection = SqliteConnection::connect(&url).await?;
        sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut connection).await?;
        let done = work.await;
        connection.close().await?;
        return Ok(done);
    }
    let mut transaction = harness.servers().pool.begin().await?;
    sqlx::query(LOCK).execute(&mut *transaction).await?;
    let done = work.await;
    transaction.rollback().await?;
    Ok(done)
}
