//! The errors of comparisons.

use database::DatabaseError;
use event_store::StoreError;

/// Why a comparison has no result.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The read models cannot be read.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}
