//! Places of records in the server's log, and gaps between them.

use kurrentdb_protocol::event_store::client::streams::read_resp::read_event::RecordedEvent as WireEvent;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::kurrentdb::record;

/// A record of the server, ours or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct RecordPosition {
    pub(super) position: u64,
    pub(super) id: Uuid,
}

impl RecordPosition {
    pub(super) fn of(event: &WireEvent) -> Self {
        Self { position: event.commit_position, id: record::event_id(event).0 }
    }
}

/// The payload of a mark.
#[derive(Serialize, Deserialize)]
pub(super) struct Mark {
    /// The position up to which the server was searched.
    pub(super) examined: u64,
    /// Our last event up to there.
    pub(super) last: Option<RecordPosition>,
}

/// A gap: no event of ours is after `from` and up to `to`.
#[derive(Clone, Copy, Default)]
pub(super) struct Gap {
    pub(super) from: u64,
    pub(super) to: u64,
}

impl Gap {
    pub(super) fn after(last: Option<RecordPosition>, to: RecordPosition) -> Self {
        Self { from: last.map_or(0, |last| last.position), to: to.position }
    }

    pub(super) fn or_larger(self, other: Self) -> Self {
        if other.to - other.from > self.to - self.from { other } else { self }
    }
}
