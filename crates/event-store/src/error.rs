//! Why a store cannot be opened, and why it did not do what it was asked to.

use database::DatabaseError;
use events::StreamName;

/// The bytes of the payloads and metadata of one append.
const MOST_APPEND_BYTES: usize = 4 << 20;

/// Why there is no store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database cannot be opened.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The store is not at this URL.
    #[error("cannot use {url} as event store: {reason}")]
    Url {
        /// Where the store should be, with the password masked.
        url: String,
        /// What is wrong.
        reason: String,
    },
}

/// Why a store did not do what it was asked to.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Someone else appended first, or the caller's picture was wrong from the start.
    #[error("stream {stream} is at version {actual}, not {expected}")]
    Conflict {
        /// The stream that was to be appended to.
        stream: StreamName,
        /// What the caller expected.
        expected: u64,
        /// What it is.
        actual: u64,
    },
    /// An append of nothing.
    #[error("an append needs at least one event")]
    Empty,
    /// An append of more than is written at once. It is not tried.
    #[error("an append of {bytes} bytes is too large, at most {most} are possible")]
    TooLarge {
        /// Of its payloads and metadata.
        bytes: usize,
        /// The most bytes that an append may have.
        most: usize,
    },
    /// The store cannot be reached or cannot write. Worth another try later.
    #[error("the event store is unavailable: {0}")]
    Unavailable(#[source] std::sync::Arc<dyn std::error::Error + Send + Sync>),
    /// A record in the store is not what this build wrote.
    #[error("the event store holds a record that cannot be read: {0}")]
    Corrupt(String),
    /// What is personal in a record cannot be read or written, since the key of its person is damaged or lost. Others are not
    /// concerned, and it ends when the key is restored, or the person erased.
    #[error("{0}")]
    KeyUnusable(String),
}

impl StoreError {
    /// Wraps a backend's own error.
    pub fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable(std::sync::Arc::from(source.into()))
    }
}

/// Refuses an append of more `bytes` than any store takes.
pub(crate) fn check_size(bytes: usize) -> Result<usize, StoreError> {
    if bytes > MOST_APPEND_BYTES {
        return Err(StoreError::TooLarge {
            bytes,
            most: MOST_APPEND_BYTES,
        });
    }
    Ok(bytes)
}
