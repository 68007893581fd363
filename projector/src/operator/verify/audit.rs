//! Compares a page of the log with its audit trail.

use std::collections::BTreeMap;

use database::{Database, DatabaseError, Row};
use events::{ERASED, UserId};

use super::{
    VerifyError,
    differences::Differences,
    rows::{RowVerifier, row_values},
};
use crate::{
    models::{AUDIT_LOG, audit_values},
    projecting::decode::{Decoded, Reading},
};

/// Compares page by page, and remembers facts that can be checked only at the end of the log.
#[derive(Debug, Default)]
pub(super) struct AuditVerifier {
    /// People whose rows have no request ids, with the first position: this is right if they are erased later.
    without_request_ids: BTreeMap<UserId, u64>,
}

impl AuditVerifier {
    /// Compares the rows above `after` and up to `to` with `events`, which are all of these in the log. Returns how
    /// many rows there are.
    pub(super) async fn compare(
        &mut self,
        read_models: &Database,
        after: u64,
        to: u64,
        events: &[Decoded],
        differences: &mut Differences,
    ) -> Result<u64, DatabaseError> {
        let columns = AUDIT_LOG.column_list();
        let sql = format!(
            "SELECT {columns} FROM audit_log WHERE position > $1 AND position <= $2 ORDER BY position"
        );
        let rows = read_models.fetch_all(&sql, &[after.into(), to.into()]).await?;
        let count = rows.len() as u64;
        let mut rows = rows.into_iter().peekable();
        for Decoded { record: event, reading, .. } in events {
            while let Some(row) = next_up_to(&mut rows, event.position.saturating_sub(1))? {
                differences.add(format!(
                    "audit_log has position {}, which is not in the log",
                    row.unsigned("position")?
                ));
            }
            let row = next_up_to(&mut rows, event.position)?;
            if *reading == Reading::Place {
                // It has a row only if some process could read it.
                continue;
            }
            let Some(row) = row else {
                differences.add(format!("audit_log lacks position {}", event.position));
                continue;
            };
            let mut expected = Vec::new();
            if *reading == Reading::WithoutKey {
                // The process that wrote the row may have had the key.
                let mut event = event.clone();
                event.metadata.correlation_id = row.str("correlation_id").unwrap_or_default().into();
                audit_values(&event, false, &mut expected);
                if let Some(operation) = expected.last_mut() {
                    let found = row.optional_str("operation").unwrap_or_default();
                    *operation = found.map(str::to_owned).into();
                }
            } else if row.str("correlation_id").is_ok_and(|id| id == ERASED)
                && *event.metadata.correlation_id != *ERASED
            {
                let subject = event.metadata.subject;
                self.without_request_ids.entry(subject).or_insert(event.position);
                audit_values(event, true, &mut expected);
            } else {
                audit_values(event, false, &mut expected);
            }
            // An unreadable row differs, too.
            if row_values(AUDIT_LOG, &row).ok() != Some(expected) {
                differences.add(format!("audit_log differs at position {}", event.position));
            }
        }
        Ok(count)
    }

    /// Reports people without request ids who were not erased.
    pub(super) async fn finish(self, rows: &mut RowVerifier<'_>) -> Result<(), VerifyError> {
        for (subject, position) in self.without_request_ids {
            if !rows.was_erased(subject).await? {
                rows.differences.add(format!(
                    "audit_log lacks request ids of subject {subject}, first position {position}"
                ));
            }
        }
        Ok(())
    }
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
