//! The channel by which processes that share a PostgreSQL log announce appends.

/// The channel for the position of the last event, sent once it is committed.
pub(super) const CHANNEL: &str = "taskledger_events";
