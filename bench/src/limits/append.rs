//! Compares the store's append rate with that of the same rows inserted by a hand-written program on one connection.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use database::{Database, Schema};
use events::UserId;
use sqlx::{Connection, Executor, PgConnection, SqliteConnection};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::ratio::{Ratio, Rounds, Wanted};
use crate::{
    log::{self, LIFE},
    servers,
};

const INSERT: &str = "INSERT INTO events \
    (position, version, recorded_at, schema_version, id, stream, type, encoding, metadata, data) ";
const HEAD: &str = "SELECT coalesce(max(position), 0) FROM events";

pub(super) async fn postgres(rounds: Rounds) -> Result<()> {
    let database = servers::Database::create().await?;
    let store = event_store::open(&database.url, 4).await?;
    let mut by_hand = PgConnection::connect(&database.url).await?;
    by_hand.execute("SET search_path = event_store").await?;
    // The number is that of writers of the store, and that of rows in a transaction of the hand-written program.
    for (writers, rows, wanted) in [(1, 1, 0.85), (64, 64, 0.6), (1_024, 200, 0.7)] {
        let mut ratio = Ratio::default();
        for _ in 0..rounds.count {
            let limit = postgres_by_hand(&mut by_hand, rows, rounds.span).await?;
            ratio.add(log::append(&store, writers, rounds.span).await?, limit);
        }
        ratio.report(
            &format!("append, {writers} writers | {rows} rows a transaction"),
            "/s",
            Wanted::AtLeast(wanted),
        );
    }
    drop(store);
    by_hand.close().await?;
    database.drop().await
}

pub(super) async fn sqlite(rounds: Rounds) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let url = Database::file_url(&directory.path().join("events.db"));
    let store = event_store::open(&url, 4).await?;
    let database = Database::connect(&url, Schema::EventStore, 1).await?;
    let mut loan = database.writer().await?;
    let by_hand = loan.sqlite().context("SQLite")?;
    let mut ratio = Ratio::default();
    for _ in 0..rounds.count {
        let limit = sqlite_by_hand(by_hand, 64, rounds.span).await?;
        ratio.add(log::append(&store, 64, rounds.span).await?, limit);
    }
    ratio.report("append on SQLite, 64 writers | 64 rows a transaction", "/s", Wanted::AtLeast(0.6));
    Ok(())
}

/// A row as the store writes it.
struct Row {
    position: i64,
    version: i64,
    stream: String,
    id: Uuid,
    kind: String,
    metadata: String,
    data: bytes::Bytes,
}

/// The rows of the next transaction, each with the next event of another task.
fn rows(position: i64, streams: &mut Vec<String>, round: usize, count: usize) -> Result<Vec<Row>> {
    let version = round % LIFE;
    if version == 0 {
        *streams = (0..count).map(|_| format!("task-{}", Uuid::now_v7())).collect();
    }
    let row = |(position, stream): (i64, &String)| {
        let owner = UserId(Uuid::now_v7());
        let event = log::new_event(owner, &log::life(owner)[version]);
        Ok(Row {
            position,
            version: version as i64 + 1,
            stream: stream.clone(),
            id: event.id.0,
            kind: event.kind,
            metadata: serde_json::to_string(&event.metadata)?,
            data: event.data,
        })
    };
    (position + 1..).zip(streams.iter()).map(row).collect()
}

/// Makes the rows of the next transactions in a thread of its own, so that the connection does not wait for them.
fn rows_ahead(head: i64, count: usize) -> mpsc::Receiver<Result<Vec<Row>>> {
    let (sender, receiver) = mpsc::channel(4);
    tokio::task::spawn_blocking(move || {
        let (mut position, mut streams) = (head, Vec::new());
        for round in 0.. {
            if sender.blocking_send(rows(position, &mut streams, round, count)).is_err() {
                return;
            }
            position += count as i64;
        }
    });
    receiver
}

/// Rows per second on one connection, with one row per statement, or with many rows in one statement that takes the
/// order lock and checks the versions.
async fn postgres_by_hand(connection: &mut PgConnection, count: usize, span: Duration) -> Result<f64> {
    let single = format!("{INSERT} VALUES ($1, $2, $3, 1, $4, $5, $8, 'json', $6, $7)");
    let many = format!(
        "WITH locked AS MATERIALIZED \
         (SELECT pg_advisory_xact_lock(hashtextextended('taskledger.event_store', 0)) IS NULL AS yes), \
         versions AS (SELECT stream, max(version) AS version FROM events WHERE stream = ANY($5) GROUP BY stream) \
         {INSERT} SELECT n.position, n.version, $3, 1, n.id, n.stream, n.type, 'json', n.metadata, n.data \
         FROM locked CROSS JOIN \
         unnest($1::bigint[], $2::bigint[], $4::uuid[], $5::text[], $6::text[], $7::bytea[], $8::text[]) \
         AS n (position, version, id, stream, metadata, data, type) \
         LEFT JOIN versions ON versions.stream = n.stream \
         WHERE coalesce(versions.version, 0) = n.version - 1"
    );
    let head = sqlx::query_scalar::<_, i64>(HEAD).fetch_one(&mut *connection).await?;
    let (mut ahead, mut appended) = (rows_ahead(head, count), 0);
    let start = Instant::now();
    while start.elapsed() < span {
        let rows = ahead.recv().await.context("no more rows")??;
        if let [row] = rows.as_slice() {
            sqlx::query(single.as_str())
                .bind(row.position)
                .bind(row.version)
                .bind(1_780_000_000_123_456_i64)
                .bind(row.id)
                .bind(&row.stream)
                .bind(&row.metadata)
                .bind(row.data.as_ref())
                .bind(&row.kind)
                .execute(&mut *connection)
                .await?;
        } else {
            let inserted = sqlx::query(many.as_str())
                .bind(rows.iter().map(|row| row.position).collect::<Vec<_>>())
                .bind(rows.iter().map(|row| row.version).collect::<Vec<_>>())
                .bind(1_780_000_000_123_456_i64)
                .bind(rows.iter().map(|row| row.id).collect::<Vec<_>>())
                .bind(rows.iter().map(|row| row.stream.as_str()).collect::<Vec<_>>())
                .bind(rows.iter().map(|row| row.metadata.as_str()).collect::<Vec<_>>())
                .bind(rows.iter().map(|row| row.data.as_ref()).collect::<Vec<_>>())
                .bind(rows.iter().map(|row| row.kind.as_str()).collect::<Vec<_>>())
                .execute(&mut *connection)
                .await?;
            ensure!(inserted.rows_affected() == count as u64, "a version does not follow");
        }
        appended += count;
    }
    Ok(appended as f64 / start.elapsed().as_secs_f64())
}

/// Rows per second on one connection, with `count` rows in a transaction.
async fn sqlite_by_hand(connection: &mut SqliteConnection, count: usize, span: Duration) -> Result<f64> {
    let values = vec!["(?, ?, 1780000000123456, 1, ?, ?, ?, 'json', ?, ?)"; count].join(", ");
    let insert = format!("{INSERT} VALUES {values}");
    let head = sqlx::query_scalar::<_, i64>(HEAD).fetch_one(&mut *connection).await?;
    let (mut ahead, mut appended) = (rows_ahead(head, count), 0);
    let start = Instant::now();
    while start.elapsed() < span {
        let rows = ahead.recv().await.context("no more rows")??;
        let mut query = sqlx::query(insert.as_str());
        for row in rows {
            let id = row.id.hyphenated();
            query = query
                .bind(row.position)
                .bind(row.version)
                .bind(id)
                .bind(row.stream)
                .bind(row.kind)
                .bind(row.metadata)
                .bind(row.data.to_vec());
        }
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        query.execute(&mut *transaction).await?;
        transaction.commit().await?;
        appended += count;
    }
    Ok(appended as f64 / start.elapsed().as_secs_f64())
}
