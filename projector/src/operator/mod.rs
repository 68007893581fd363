//! Commands of operators for the read models: status, parked events, comparison with the log, rebuilds, and repair
//! after the log was restored.

mod locking;
pub(crate) mod parked_events;
pub(crate) mod rebuild;
pub(crate) mod restore;
pub(crate) mod status;
pub(crate) mod verify;
