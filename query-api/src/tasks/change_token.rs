//! A token that clients keep to ask for later changes.

use database::{Database, DatabaseError, Transaction};
use events::{EventId, LogPoint, UserId};
use http_api::{BadCursor, CursorKey};
use read_models::Projection;
use serde::Serialize;
use uuid::Uuid;

const PURPOSE: &str = "task changes";
const NUMBER: usize = size_of::<u64>();
/// The event at a position, according to the audit trail.
const EVENT_AT: &str = "SELECT event_id FROM audit_log WHERE position = $1";
/// The last event of somebody's tasks.
const LAST_OF: &str =
    "SELECT position, event_id FROM task_history WHERE owner = $1 ORDER BY position DESC LIMIT 1";
const TOKEN_BYTES: usize = 3 * NUMBER + size_of::<Uuid>();

/// The end of a list of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChangeToken {
    /// Everything up to this position was returned.
    pub(super) after: u64,
    /// A series of pages is complete only up to here: at later positions there were parked events meanwhile.
    pub(super) complete_to: u64,
    /// An event that existed. If the log does not have it, it is another log.
    pub(crate) seen: LogPoint,
}

impl ChangeToken {
    /// Before all events.
    pub(crate) const BEGINNING: Self = Self { after: 0, complete_to: u64::MAX, seen: LogPoint::START };

    /// A token of `owner` that skips everything up to `position`, up to which their events are projected.
    pub(crate) async fn from_now_on(
        database: &Database,
        projection: &Projection,
        owner: UserId,
        position: u64,
    ) -> Result<Self, DatabaseError> {
        let mut seen = projection.point_of(owner).await?;
        // A position alone does not tell this log from another one.
        if seen.id.is_none()
            && let Some(row) = database.fetch_optional(LAST_OF, &[owner.0.into()]).await?
        {
            seen = LogPoint { position: row.unsigned("position")?, id: Some(EventId(row.uuid("event_id")?)) };
        }
        Ok(Self { after: position, complete_to: u64::MAX, seen })
    }

    /// Encodes it as an opaque text for `owner`.
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
            seen: LogPoint { position: number(2)?, id: (!id.is_nil()).then_some(EventId(id)) },
        })
    }
}

#[derive(Serialize)]
struct Binding {
    owner: UserId,
}

/// The position of the first parked event about `owner`.
pub(super) async fn first_parked(tx: &mut Transaction, owner: UserId) -> Result<Option<u64>, DatabaseError> {
    let sql = "SELECT position FROM parked_events WHERE subject = $1 ORDER BY position LIMIT 1";
    let row = tx.fetch_optional(sql, &[owner.0.into()]).await?;
    row.map(|row| row.unsigned("position")).transpose()
}

/// The event at a position, according to the audit trail.
pub(super) async fn event_at(tx: &mut Transaction, position: u64) -> Result<Option<EventId>, DatabaseError> {
    let row = tx.fetch_optional(EVENT_AT, &[position.into()]).await?;
    row.map(|row| row.uuid(0).map(EventId)).transpose()
}
