//! The trait for checking a token, and the reasons why one is not accepted.

use async_trait::async_trait;
use events::UserId;

use crate::messages::{Identity, Rejection};

/// Why a token was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// It is invalid. Checking again gives the same result.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// It could not be checked. The token may be valid.
    #[error("tokens cannot be checked now: {0}")]
    Unavailable(String),
    /// It cannot be checked, because what the log has of its session or account cannot be read. Checking again does
    /// not help.
    #[error("what the log has of the session or account of this token cannot be read")]
    Failed,
}

/// Checks a token. Auth implements it directly; the other roles ask auth over the bus.
#[async_trait]
pub trait Check: Send + Sync + 'static {
    /// The identity of the token's owner.
    ///
    /// # Errors
    /// When it is invalid, or when it cannot be checked now.
    async fn check(&self, token: &str) -> Result<Identity, VerifyError>;

    /// Whether checks are possible now.
    fn is_connected(&self) -> bool {
        true
    }

    /// The person of a token with a valid signature, without checking its session.
    fn subject(&self, _token: &str) -> Option<UserId> {
        None
    }

    /// The person of a token with a valid signature, even if it has expired. For the security log.
    fn owner(&self, _token: &str) -> Option<UserId> {
        None
    }
}
