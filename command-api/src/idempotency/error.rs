//! The errors of idempotency keys.

use database::DatabaseError;

/// Why a key could not be looked up, or an answer could not be stored.
#[derive(Debug, thiserror::Error)]
pub enum IdempotencyError {
    #[error("the idempotency key was used for another request")]
    Reused,
    /// Another try with the same key is still running. The caller may try again later.
    #[error("an earlier request with this idempotency key is still being worked on")]
    Busy,
    #[error("too many idempotency keys within a day")]
    TooMany,
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A stored value cannot be read, or an answer cannot be written.
    #[error("a stored answer cannot be read")]
    Unreadable(#[from] serde_json::Error),
}
