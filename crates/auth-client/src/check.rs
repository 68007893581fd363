//! What it is to check a token, and why one is not accepted.

use async_trait::async_trait;
use events::UserId;

use crate::messages::{Identity, Rejection};

/// Why a token was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// It is no good, and that is final.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Nobody could tell. The token may well be good.
    #[error("tokens cannot be checked now: {0}")]
    Unavailable(String),
}

/// Judges a token on the spot. Auth itself implements it; for everyone else the bus stands between.
#[async_trait]
pub trait Check: Send + Sync + 'static {
    /// Whose token this is.
    ///
    /// # Errors
    /// When it is no good, or when that cannot be found out now.
    async fn check(&self, token: &str) -> Result<Identity, VerifyError>;

    /// Whether it can be asked now.
    fn is_connected(&self) -> bool {
        true
    }

    /// Whom a token with a good signature names, without asking whether its session is live.
    fn subject(&self, _token: &str) -> Option<UserId> {
        None
    }

    /// Whose token this is or was: whom one with a good signature names, whatever its times say. For the security log.
    fn owner(&self, _token: &str) -> Option<UserId> {
        None
    }
}
