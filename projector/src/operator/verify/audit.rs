//! Compares a page of the log with its audit trail.

use super::{differences::Differences, rows::row_values};
use crate::{
    models::{AUDIT_LOG, audit_values, without_request_id},
    projecting::decode::Decoded,
};
use database::{Database, DatabaseError, Row};
use events::{ERASED, RecordedEvent};

/// Compares the rows above `after` and up to `to` with `events`, which are all of these in the log. Returns how
/// many rows there are.
pub(super) async fn compare(
    read_models: &Database,
    after: u64,
    to: u64,
    events: &[Decoded],
    differences: &mut Differences,
) -> Result<u64, DatabaseError> {
    let rows = read_models
        .fetch_all(
            "SELECT * FROM audit_log WHERE position > $1 AND position <= $2 ORDER BY position",
            &[after.into(), to.into()],
        )
        .await?;
    let count = rows.len() as u64;
    let mut rows = rows.into_iter().peekable();
    for Decoded {
        record: event,
        readable,
        ..
    } in events
    {
        while let Some(row) = next_up_to(&mut rows, event.position.saturating_sub(1))? {
            differences.add(format!(
                "audit_log has position {}, which is not in the log",
                row.unsigned("position")?
            ));
        }
        let row = next_up_to(&mut rows, event.position)?;
        if !readable {
            // It has a row only if somebody could read it.
            continue;
        }
        match row {
            None => differences.add(format!("audit_log lacks position {}", event.position)),
            Some(row) => {
                let mut expected = Vec::new();
                if row.str("correlation_id")? == ERASED && is_erased(read_models, event).await? {
                    audit_values(&without_request_id(event), &mut expected);
                } else {
                    audit_values(event, &mut expected);
                }
                if row_values(AUDIT_LOG, &row)? != expected {
                    differences.add(format!("audit_log differs at position {}", event.position));
                }
            }
        }
    }
    Ok(count)
}

/// Whether the person whom `event` is about was erased.
async fn is_erased(read_models: &Database, event: &RecordedEvent) -> Result<bool, DatabaseError> {
    let sql = "SELECT subject FROM erased_subjects WHERE subject = $1";
    let row = read_models
        .fetch_optional(sql, &[event.metadata.subject.0.into()])
        .await?;
    Ok(row.is_some())
}

fn next_up_to(
    rows: &mut std::iter::Peekable<impl Iterator<Item = Row>>,
    position: u64,
) -> Result<Option<Row>, DatabaseError> {
    match rows.peek() {
        Some(row) if row.unsigned("position")? <= position => Ok(rows.next()),
        _ => Ok(None),
    }
}
