//! The errors of dropping payloads.

use crate::StoreError;

/// Why payloads were not dropped. No payload of the call was.
#[derive(Debug, Clone, thiserror::Error)]
#[expect(missing_docs, reason = "each variant has its message")]
pub enum DropError {
    #[error(
        "the log is in KurrentDB, which cannot remove the payload of one event and keep the event: nothing can be dropped there"
    )]
    Unsupported,
    #[error("the event at position {0} is not the one in the log")]
    Differs(i64),
    #[error(transparent)]
    Store(#[from] StoreError),
}
