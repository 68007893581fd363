//! The errors of dropping payloads.

use crate::StoreError;

/// Why payloads were not dropped. No payload of the call was.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DropError {
    /// The store cannot change stored events.
    #[error(
        "the log is in KurrentDB, which cannot remove the payload of one event and keep the event: nothing can be dropped there"
    )]
    Unsupported,
    /// The log does not have this event.
    #[error("the event at position {0} is not the one in the log")]
    Differs(i64),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
