//! Follows the events of one person's tasks as they are projected.

use database::{Database, DatabaseError, Row, Transaction};
use events::{EventId, LogPoint, UserId};
use read_models::rows_within;

use super::change_token::{ChangeToken, first_parked};

/// The most events that are read at once.
const PAGE: usize = 16;
/// The most bytes of changes that are read at once, unless one event alone has more, because it has two long
/// descriptions. They are in memory until the client has taken them.
const PAGE_BYTES: u64 = 64 * 1024;

/// Reads page by page from where it was.
#[derive(Debug)]
pub(crate) struct Follower {
    owner: UserId,
    after: u64,
    /// The first parked event at the last read. Once it is projected, everything from there on is returned again,
    /// because it has an earlier position.
    parked: Option<u64>,
}

impl Follower {
    /// Begins where everything before was returned: a series of changes that was not read to its end has left out what
    /// was parked meanwhile.
    pub(crate) fn new(owner: UserId, since: ChangeToken) -> Self {
        Self { owner, after: since.after.min(since.complete_to), parked: None }
    }

    /// The next rows of `task_history`; none when there is nothing new.
    ///
    /// # Errors
    /// When the database fails. The position does not change then.
    pub(crate) async fn next_page(&mut self, database: &Database) -> Result<Vec<Row>, DatabaseError> {
        let mut tx = database.snapshot().await?;
        let parked = first_parked(&mut tx, self.owner).await?;
        let mut after = self.after;
        if let Some(before) = self.parked
            && parked.is_none_or(|first| first > before)
        {
            after = after.min(before.saturating_sub(1));
        }
        let rows = match end_of_page(&mut tx, self.owner, after).await? {
            Some(end) => tx.fetch_all(STATEMENT, &[self.owner.0.into(), after.into(), end.into()]).await?,
            None => Vec::new(),
        };
        tx.commit().await?;
        if let Some(last) = rows.last() {
            after = last.unsigned("position")?;
        }
        // Set only now, so that a failed page is read again.
        (self.after, self.parked) = (after, parked);
        Ok(rows)
    }

    /// The token of a client that has seen everything up to this row.
    pub(crate) fn seen(&self, row: &Row) -> Result<ChangeToken, DatabaseError> {
        let position = row.unsigned("position")?;
        let complete_to = self.parked.map_or(u64::MAX, |first| first.saturating_sub(1));
        Ok(ChangeToken {
            after: position.min(complete_to),
            complete_to: u64::MAX,
            seen: LogPoint { position, id: Some(EventId(row.uuid("event_id")?)) },
        })
    }
}

/// The position of the last event on the page after `after`; `None` when there is no event. The sizes of the events are
/// read first, so that no more is read than is sent.
async fn end_of_page(tx: &mut Transaction, owner: UserId, after: u64) -> Result<Option<u64>, DatabaseError> {
    let (mut positions, mut sizes) = (Vec::new(), Vec::new());
    for row in tx.fetch_all(&sizes_statement(), &[owner.0.into(), after.into()]).await? {
        positions.push(row.unsigned("position")?);
        sizes.push(row.unsigned("bytes")?);
    }
    positions.truncate(rows_within(PAGE_BYTES, sizes.into_iter()));
    Ok(positions.pop())
}

/// Reads one range of the index in the order of positions for each owner, without the texts.
pub(super) fn sizes_statement() -> String {
    format!(
        "SELECT position, CAST(octet_length(changes) AS BIGINT) AS bytes FROM task_history
         WHERE owner = $1 AND position > $2 ORDER BY position LIMIT {PAGE}"
    )
}

/// Reads one range of the same index.
pub(super) const STATEMENT: &str = "
    SELECT task, event_id, version, position, type, actor, recorded_at, correlation_id, changes FROM task_history
    WHERE owner = $1 AND position > $2 AND position <= $3 ORDER BY position";
