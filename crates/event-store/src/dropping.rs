//! Why payloads were not dropped.

use crate::StoreError;

/// Why payloads were not dropped. None of those that were named was.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DropError {
    /// The store never changes what it holds.
    #[error(
        "the log is in KurrentDB, which cannot remove the payload of one event and keep the event: nothing can be dropped there"
    )]
    Unsupported,
    /// The log does not hold such an event.
    #[error("the event at position {0} is not the one in the log")]
    Differs(i64),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}
