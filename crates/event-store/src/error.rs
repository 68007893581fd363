//! The errors of opening and using a store.

use database::DatabaseError;
use events::StreamName;

/// The most bytes of payloads and metadata in one append.
const MAX_APPEND_BYTES: usize = 4 << 20;

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant has its message")]
pub enum OpenError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("cannot use {url} as event store: {reason}")]
    Url {
        /// The URL with the password masked.
        url: String,
        reason: String,
    },
}

/// Why a call to a store failed.
#[derive(Debug, Clone, thiserror::Error)]
#[expect(missing_docs, reason = "each variant has its message")]
pub enum StoreError {
    /// Another append came first, or the expected version was wrong.
    #[error("stream {stream} is at version {actual}, not {expected}")]
    Conflict { stream: StreamName, expected: u64, actual: u64 },
    #[error("an append needs at least one event")]
    Empty,
    /// The bytes are those of payloads and metadata. The append was not tried.
    #[error("an append of {bytes} bytes is too large, at most {most} are possible")]
    TooLarge { bytes: usize, most: usize },
    /// The store cannot be reached or cannot write. The caller may try again later.
    #[error("the event store is unavailable: {0}")]
    Unavailable(#[source] std::sync::Arc<dyn std::error::Error + Send + Sync>),
    /// A stored record was not written by this software.
    #[error("the event store holds a record that cannot be read: {0}")]
    Corrupt(String),
    /// The personal data of a record cannot be decrypted or encrypted, because the key of its person is damaged or
    /// lost. Other people are not affected. It ends when the key is restored, or the person is erased.
    #[error("{0}")]
    KeyUnusable(String),
    /// This process cannot use the keys of people, as without a master key that wraps them. Nothing was read or
    /// written. It ends when an operator gives the process what it lacks.
    #[error(transparent)]
    KeysUnavailable(std::sync::Arc<dyn std::error::Error + Send + Sync>),
}

impl StoreError {
    /// Wraps a backend's own error.
    pub fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable(std::sync::Arc::from(source.into()))
    }

    /// Whether the database's user of this process has no right to it, in PostgreSQL.
    pub fn is_forbidden(&self) -> bool {
        match self {
            Self::Unavailable(source) => {
                source.downcast_ref::<DatabaseError>().is_some_and(DatabaseError::is_forbidden)
            }
            _ => false,
        }
    }
}

/// Refuses an append of more `bytes` than any store takes.
pub(crate) fn check_size(bytes: usize) -> Result<usize, StoreError> {
    if bytes > MAX_APPEND_BYTES {
        return Err(StoreError::TooLarge { bytes, most: MAX_APPEND_BYTES });
    }
    Ok(bytes)
}
