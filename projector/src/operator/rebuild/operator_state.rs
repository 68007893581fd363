//! Copies facts that the log does not have from the live tables to the new ones: discarded events, and the numbers of
//! partitions.

use std::collections::BTreeSet;

use database::{Database, left_out, readable};
use event_store::EventStore;
use events::{LogPoint, StreamName};

use super::RebuildError;
use crate::{operator::parked_events, projecting::checkpoint};

/// Discards in `next` the events that an operator has discarded.
pub(super) async fn discarded(
    live: &Database,
    next: &Database,
    store: &dyn EventStore,
) -> Result<(), RebuildError> {
    let reached = checkpoint::completed(next).await?;
    let known = positions(next, "discarded_events").await?;
    let parked = positions(next, "parked_events").await?;
    let erased = next.fetch_all("SELECT subject FROM erased_subjects", &[]).await?;
    let mut gone = BTreeSet::new();
    for row in erased {
        gone.insert(row.uuid("subject")?);
    }
    for row in live
        .fetch_all(
            "SELECT position, stream, version, type, subject, reason FROM discarded_events ORDER BY position",
            &[],
        )
        .await?
    {
        let Some(position) = left_out("discarded_events", "position", &row, row.unsigned("position")) else {
            continue;
        };
        if known.contains(&position) {
            continue;
        }
        if parked.contains(&position) {
            parked_events::discard(next, position).await?;
            let stream = StreamName::raw(row.text("stream")?);
            match parked_events::retry(store, next, &stream).await {
                Ok(_) | Err(parked_events::ParkingError::StreamNotParked(_)) => {}
                Err(error) => return Err(error.into()),
            }
        } else if position > reached || gone.contains(&row.uuid("subject")?) {
            let mut tx = next.begin().await?;
            parked_events::give_up_on(&mut tx, &row).await?;
            tx.commit().await?;
        } else {
            return Err(RebuildError::Discarded(position));
        }
    }
    Ok(())
}

/// Fails if more streams are parked in `next` than in the live tables, up to where those have come. That is a sign of
/// something wrong with this process, such as keys of people that it does not have.
pub(super) async fn require_no_more_parked(live: &Database, next: &Database) -> Result<(), RebuildError> {
    let reached = checkpoint::completed(live).await?;
    let (live, next) = (parked_streams(live, reached).await?, parked_streams(next, reached).await?);
    match next > live {
        true => Err(RebuildError::MoreParked { live, next }),
        false => Ok(()),
    }
}

/// The number of streams that are parked at `position` or before.
async fn parked_streams(tables: &Database, position: u64) -> Result<u64, RebuildError> {
    let sql = "SELECT COUNT(DISTINCT stream) AS streams FROM parked_events WHERE position <= $1";
    Ok(tables.number(sql, &[position.into()]).await?)
}

/// Copies the numbers of attempts of parked events to `next`.
pub(super) async fn attempts(live: &Database, next: &Database) -> Result<(), RebuildError> {
    const POSTGRES: &str = "UPDATE parked_events SET attempts = known.attempts
        FROM json_to_recordset(CAST(CAST($1 AS TEXT) AS JSON)) AS known (position BIGINT, attempts BIGINT)
        WHERE parked_events.position = known.position AND parked_events.attempts < known.attempts";
    const SQLITE: &str = "UPDATE parked_events SET attempts = known.attempts
        FROM (SELECT json_extract(value, '$.position') AS position, json_extract(value, '$.attempts') AS attempts
            FROM json_each($1)) AS known
        WHERE parked_events.position = known.position AND parked_events.attempts < known.attempts";
    // Projectors wait meanwhile, and a rebuild usually parks few of what was parked before.
    let parked = positions(next, "parked_events").await?;
    if parked.is_empty() {
        return Ok(());
    }
    let tried = "SELECT position, attempts FROM parked_events WHERE attempts > 1";
    let mut known = Vec::new();
    let rows = live.fetch_all(tried, &[]).await?;
    let tried = readable("parked_events", "position", &rows, |row| {
        Ok((row.unsigned("position")?, row.integer("attempts")?))
    });
    for (position, attempts) in tried {
        if parked.contains(&position) {
            known.push(serde_json::json!({"position": position, "attempts": attempts}));
        }
    }
    let sql = if next.is_postgres() { POSTGRES } else { SQLITE };
    let known = serde_json::Value::from(known).to_string();
    next.execute(sql, &[known.into()]).await?;
    Ok(())
}

/// Writes every checkpoint of the live tables to `next`, which is complete up to `reached`, so that each projector
/// finds its own.
pub(super) async fn checkpoints(
    live: &Database,
    next: &Database,
    reached: LogPoint,
) -> Result<(), RebuildError> {
    let rows = live.fetch_all("SELECT partitions, partition FROM checkpoints", &[]).await?;
    let mut tx = next.begin().await?;
    for row in rows {
        let (partitions, partition) = (row.integer("partitions")?, row.integer("partition")?);
        checkpoint::raise(&mut tx, partitions, partition, reached).await?;
    }
    Ok(tx.commit().await?)
}

pub(super) async fn furthest(read_models: &Database) -> Result<u64, RebuildError> {
    let sql = "SELECT COALESCE(MAX(position), 0) AS position FROM checkpoints";
    Ok(read_models.number(sql, &[]).await?)
}

async fn positions(read_models: &Database, table: &str) -> Result<BTreeSet<u64>, RebuildError> {
    let rows = read_models.fetch_all(&format!("SELECT position FROM {table}"), &[]).await?;
    let positions = readable(table, "position", &rows, |row| row.unsigned("position"));
    Ok(positions.into_iter().collect())
}
