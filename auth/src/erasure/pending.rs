//! The table of pending erasures. A row exists from before the erasure until a while after its completion.

use database::{Database, DatabaseError, readable_page};
use events::{CorrelationId, Timestamp, UserId};

/// The most erasures in a page.
const PAGE: u64 = 100;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pending {
    pub(super) subject: UserId,
    pub(super) begun_at: Timestamp,
    /// The command of the operator who began it, if any.
    pub(super) operation: Option<CorrelationId>,
}

impl Pending {
    /// Whether it was begun at least this many seconds before `now`.
    pub(super) fn is_older_than(&self, seconds: i64, now: Timestamp) -> bool {
        self.begun_at.plus_seconds(seconds) <= now
    }
}

/// Records that `subject` is about to be erased, with the command of an operator, if it is one.
pub(super) async fn begin(
    operations: &Database,
    subject: UserId,
    operation: Option<&CorrelationId>,
    now: Timestamp,
) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO pending_erasures (subject, begun_at, operation) VALUES ($1, $2, $3) \
         ON CONFLICT (subject) DO UPDATE SET begun_at = excluded.begun_at, \
         operation = COALESCE(excluded.operation, pending_erasures.operation)";
    let operation = operation.map(ToString::to_string);
    let values = [subject.0.into(), now.as_micros().into(), operation.into()];
    operations.execute(sql, &values).await.map(drop)
}

/// The pending erasures after `after`, in the order of their ids.
pub(super) async fn page(
    operations: &Database,
    after: Option<UserId>,
) -> Result<Vec<Pending>, DatabaseError> {
    let sql = "SELECT subject, begun_at, operation FROM pending_erasures WHERE subject > $1 ORDER BY subject LIMIT $2";
    let after = after.map(|after| after.0).unwrap_or_default();
    let values = vec![after.into(), PAGE.into()];
    readable_page(operations, "pending_erasures", &["subject"], sql, values, |row| {
        Ok(Pending {
            subject: UserId(row.uuid("subject")?),
            begun_at: Timestamp::from_micros(row.integer("begun_at")?),
            operation: row.optional_text("operation")?.map(Into::into),
        })
    })
    .await
}

/// Deletes a pending erasure, unless it was begun again.
pub(super) async fn end(operations: &Database, pending: &Pending) -> Result<(), DatabaseError> {
    let sql = "DELETE FROM pending_erasures WHERE subject = $1 AND begun_at = $2";
    let values = [pending.subject.0.into(), pending.begun_at.as_micros().into()];
    operations.execute(sql, &values).await.map(drop)
}
