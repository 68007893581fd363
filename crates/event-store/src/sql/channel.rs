//! The channel on which processes that share a PostgreSQL log tell each other of appends.

/// Where those who append to PostgreSQL announce the position of the last event, once it is committed.
pub(super) const CHANNEL: &str = "taskledger_events";
