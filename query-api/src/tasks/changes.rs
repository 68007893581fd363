//! What has changed since an earlier look, in the order of the log.
//!
//! A task stands at the position of its last event, and everything about one person is projected in order, so whoever
//! reads on from a position misses nothing. There is one exception: events that are parked are projected later, at
//! the positions that they have. So nobody is told to read on from beyond the first parked event.

use database::{Database, DatabaseError, Row, Transaction};
use event_store::StoreError;
use events::{EventId, LogPoint, UserId};
use serde::Serialize;
use uuid::Uuid;

use super::row;
use crate::{
    cursor_key::{BadCursor, CursorKey},
    log_identity::LogIdentity,
};

const PURPOSE: &str = "task changes";
const NUMBER: usize = size_of::<u64>();
const TOKEN_BYTES: usize = 3 * NUMBER + size_of::<Uuid>();

/// Where a look ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Since {
    /// Everything up to here has been told.
    after: u64,
    /// A series of pages is complete only up to here: beyond this there were parked events meanwhile.
    complete_to: u64,
    /// An event that was there. A log that does not have it is not the one that was looked at.
    seen: LogPoint,
}

impl Since {
    /// Nothing has been told.
    pub(crate) const BEGINNING: Self = Self {
        after: 0,
        complete_to: u64::MAX,
        seen: LogPoint::START,
    };

    /// As an opaque text for `owner`.
    pub(crate) fn write(&self, key: &CursorKey, owner: UserId) -> String {
        let mut bytes = Vec::with_capacity(TOKEN_BYTES);
        for number in [self.after, self.complete_to, self.seen.position] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        let id = self.seen.id.map_or(Uuid::nil(), |id| id.0);
        bytes.extend_from_slice(id.as_bytes());
        key.seal(PURPOSE, &Binding { owner }, bytes)
    }

    /// Reads what [`Self::write`] wrote for the same owner.
    ///
    /// # Errors
    /// When it did not.
    pub(crate) fn read(key: &CursorKey, text: &str, owner: UserId) -> Result<Self, BadCursor> {
        let bytes = key.open(PURPOSE, &Binding { owner }, text)?;
        let bytes: [u8; TOKEN_BYTES] = bytes.try_into().map_err(|_| BadCursor)?;
        let number = |index: usize| {
            let bytes = bytes[index * NUMBER..].first_chunk::<NUMBER>();
            bytes.copied().map(u64::from_be_bytes).ok_or(BadCursor)
        };
        let id = Uuid::from_slice(&bytes[3 * NUMBER..]).map_err(|_| BadCursor)?;
        Ok(Self {
            after: number(0)?,
            complete_to: number(1)?,
            seen: LogPoint {
                position: number(2)?,
                id: (!id.is_nil()).then_some(EventId(id)),
            },
        })
    }
}

#[derive(Serialize)]
struct Binding {
    owner: UserId,
}

/// A part of what has changed.
#[derive(Debug)]
pub(crate) struct Changes {
    /// The tasks that have changed, as they are now, those in the trash among them: each is a [`super::TaskView`].
    pub(crate) rows: Vec<Row>,
    /// Where to read on.
    pub(crate) next: Since,
    /// Whether there are more already.
    pub(crate) more: bool,
}

/// Why there are no changes to tell.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangesError {
    /// The log was replaced by another one since.
    #[error("the log is not the one that the token is from")]
    OtherLog,
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Up to `limit` tasks of `owner` that have changed since.
///
/// # Errors
/// When the token is from another log, or the database or the log cannot be read.
pub(crate) async fn changes(
    database: &Database,
    log: &LogIdentity,
    owner: UserId,
    since: Since,
    limit: u16,
) -> Result<Changes, ChangesError> {
    if !log.agrees_with(since.seen).await? {
        return Err(ChangesError::OtherLog);
    }
    // Of one state: what is parked in one statement must not be projected in the next.
    let mut tx = database.snapshot().await?;
    let first_parked = first_parked(&mut tx, owner).await?;
    let mut rows = tx
        .fetch_all(&statement(limit), &[owner.0.into(), since.after.into()])
        .await?;
    let more = rows.len() > usize::from(limit);
    rows.truncate(limit.into());
    let last = rows.last().map(|row| row.unsigned("position")).transpose()?;
    let seen = match last {
        Some(position) => LogPoint {
            position,
            id: event_at(&mut tx, position).await?,
        },
        None => since.seen,
    };
    tx.commit().await?;
    let complete_to = since
        .complete_to
        .min(first_parked.map_or(u64::MAX, |first| first.saturating_sub(1)));
    let after = last.unwrap_or(since.after);
    let next = if more {
        Since {
            after,
            complete_to,
            seen,
        }
    } else {
        Since {
            after: after.min(complete_to),
            complete_to: u64::MAX,
            seen,
        }
    };
    Ok(Changes { rows, next, more })
}

/// One range of the index that keeps the order of positions.
pub(super) fn statement(limit: u16) -> String {
    format!(
        "SELECT {}, position FROM tasks WHERE owner = $1 AND position > $2 ORDER BY position LIMIT {}",
        row::COLUMNS,
        u32::from(limit) + 1
    )
}

/// The position of the first event about `owner` that waits to be projected.
async fn first_parked(tx: &mut Transaction, owner: UserId) -> Result<Option<u64>, DatabaseError> {
    let sql = "SELECT position FROM parked_events WHERE subject = $1 ORDER BY position LIMIT 1";
    let row = tx.fetch_optional(sql, &[owner.0.into()]).await?;
    row.map(|row| row.unsigned("position")).transpose()
}

/// The event at a position, as far as the audit trail knows.
async fn event_at(tx: &mut Transaction, position: u64) -> Result<Option<EventId>, DatabaseError> {
    let sql = "SELECT event_id FROM audit_log WHERE position = $1";
    let row = tx.fetch_optional(sql, &[position.into()]).await?;
    row.map(|row| Ok(EventId(row.uuid("event_id")?))).transpose()
}
