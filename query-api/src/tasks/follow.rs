//! What happens to the tasks of one person, as it is projected.

use database::{Database, DatabaseError, Row};
use events::{EventId, LogPoint, UserId};

use super::change_token::{ChangeToken, first_parked};

/// Events read at once. Each may hold two long descriptions.
pub(super) const PAGE: usize = 16;

/// Reads on where it was, page by page.
#[derive(Debug)]
pub(crate) struct Follower {
    owner: UserId,
    after: u64,
    /// The first event that waited to be projected at the last look. Once it does not any more, everything from there on
    /// is told again, since it is told at the position that it has.
    parked: Option<u64>,
}

impl Follower {
    pub(crate) const fn new(owner: UserId, since: ChangeToken) -> Self {
        Self {
            owner,
            after: since.after,
            parked: None,
        }
    }

    /// The next rows of `task_history`; none when there is nothing new.
    ///
    /// # Errors
    /// When the database fails. Nothing is lost by it.
    pub(crate) async fn next_page(&mut self, database: &Database) -> Result<Vec<Row>, DatabaseError> {
        let mut tx = database.snapshot().await?;
        let parked = first_parked(&mut tx, self.owner).await?;
        let mut after = self.after;
        if let Some(before) = self.parked
            && parked.is_none_or(|first| first > before)
        {
            after = after.min(before.saturating_sub(1));
        }
        let rows = tx
            .fetch_all(&statement(), &[self.owner.0.into(), after.into()])
            .await?;
        tx.commit().await?;
        if let Some(last) = rows.last() {
            after = last.unsigned("position")?;
        }
        // Only now, so that a page that fails is asked for again.
        (self.after, self.parked) = (after, parked);
        Ok(rows)
    }

    /// From where on to tell somebody who has seen everything up to this row.
    ///
    /// # Errors
    /// When the row is not as the projector writes it.
    pub(crate) fn seen(&self, row: &Row) -> Result<ChangeToken, DatabaseError> {
        let position = row.unsigned("position")?;
        let complete_to = self.parked.map_or(u64::MAX, |first| first.saturating_sub(1));
        Ok(ChangeToken {
            after: position.min(complete_to),
            complete_to: u64::MAX,
            seen: LogPoint {
                position,
                id: Some(EventId(row.uuid("event_id")?)),
            },
        })
    }
}

/// One range of the index that keeps the order of positions for each owner.
pub(super) fn statement() -> String {
    format!(
        "SELECT task, event_id, version, position, type, actor, recorded_at, correlation_id, changes FROM task_history
         WHERE owner = $1 AND position > $2 ORDER BY position LIMIT {PAGE}"
    )
}
