//! Runs the queries for the audit trail.

use api_types::AuditEvent;
use database::{Database, DatabaseError, Row};
use events::{EventId, Timestamp, UserId};
use read_models::cut_page;

use super::{AuditCursor, AuditFilter};
use crate::metrics::QueryMetrics;

/// The most entries that one statement examines for a follower of the trail.
const STRETCH: u64 = 10_000;

/// Up to `limit` entries after a place, without those that cannot be read, and the place of the last one when there are
/// more.
pub(crate) async fn page(
    database: &Database,
    filter: &AuditFilter,
    after: Option<AuditCursor>,
    limit: u16,
    metrics: &QueryMetrics,
) -> Result<(Vec<AuditEvent>, Option<AuditCursor>), DatabaseError> {
    let (sql, values) = filter.page(after, u32::from(limit) + 1);
    let mut rows = database.fetch_all(&sql, &values).await?;
    let end = match cut_page(&mut rows, limit) {
        Some(last) => Some(AuditCursor {
            recorded_at: last.integer("recorded_at")?,
            position: last.integer("position")?,
        }),
        None => None,
    };
    let entries = readable(&rows, |error| metrics.leave_out("audit_log", error));
    Ok((entries, end))
}

/// The newest entries, at most `limit`, the newest first, without those that cannot be read.
pub async fn newest(
    database: &Database,
    filter: &AuditFilter,
    limit: u32,
) -> Result<Vec<AuditEvent>, DatabaseError> {
    let (sql, values) = filter.page(None, limit);
    let rows = database.fetch_all(&sql, &values).await?;
    Ok(readable(&rows, warn))
}

/// The entries above the position `after`, in the order of the log, and the position up to which they are complete:
/// `to` at the end, an earlier one when there are more. Unreadable entries are left out.
pub async fn read_on(
    database: &Database,
    filter: &AuditFilter,
    after: u64,
    to: u64,
) -> Result<(Vec<AuditEvent>, u64), DatabaseError> {
    let to = end_of_stretch(database, after, to).await?;
    let (sql, values) = filter.between(after, to);
    let rows = database.fetch_all(&sql, &values).await?;
    Ok((readable(&rows, warn), to))
}

/// The position of the last entry above `after` that one statement may examine; `to` when those up to it are few.
/// Entries are counted, since the positions of some logs count bytes.
async fn end_of_stretch(database: &Database, after: u64, to: u64) -> Result<u64, DatabaseError> {
    let sql = "SELECT position FROM audit_log WHERE position > $1 AND position <= $2
               ORDER BY position LIMIT 1 OFFSET $3";
    let values = [after.into(), to.into(), (STRETCH - 1).into()];
    let last = database.fetch_optional(sql, &values).await?;
    last.map_or(Ok(to), |row| row.unsigned("position"))
}

/// The entries of rows, without unreadable ones, which a newer release or damage may cause.
fn readable(rows: &[Row], mut left_out: impl FnMut(&DatabaseError)) -> Vec<AuditEvent> {
    rows.iter().filter_map(|row| entry(row).inspect_err(&mut left_out).ok()).collect()
}

fn warn(error: &DatabaseError) {
    tracing::warn!(%error, "an entry of the audit trail cannot be read and is left out");
}

fn entry(row: &Row) -> Result<AuditEvent, DatabaseError> {
    Ok(AuditEvent {
        position: row.unsigned("position")?,
        stream: row.text("stream")?,
        version: row.unsigned("version")?,
        id: EventId(row.uuid("event_id")?),
        r#type: row.text("type")?,
        subject: UserId(row.uuid("subject")?),
        actor: row.text("actor")?,
        correlation_id: row.text("correlation_id")?,
        causation_id: row.uuid("causation_id")?,
        recorded_at: Timestamp::from_micros(row.integer("recorded_at")?),
        operation: row
            .optional_str("operation")?
            .map(serde_json::from_str)
            .transpose()
            .map_err(|error| DatabaseError::Unexpected(format!("an operation in audit_log: {error}")))?,
    })
}
