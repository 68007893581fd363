//! Checks presented tokens: directly in auth, over the bus in every other role.

use std::sync::Arc;

use bus::Bus;
use events::UserId;
use runtime::Background;

use crate::{
    check::{Check, VerifyError},
    check_metrics::{Source, counted},
    messages::{Identity, Rejection},
    remote::Remote,
    token::{looks_like_a_token, program_token_name},
    verifier_options::VerifierOptions,
};

/// Checks presented tokens.
pub struct Verifier(Kind);

enum Kind {
    /// Checks every time.
    Direct(Arc<dyn Check>),
    /// Asks over the bus, and caches the answers.
    Remote(Arc<Remote>),
}

impl Verifier {
    /// Creates a verifier that asks auth over `bus`. It subscribes to revocations in the `background`.
    pub async fn start(bus: Arc<dyn Bus>, options: VerifierOptions, background: &Background) -> Arc<Self> {
        let remote = Remote::start(bus, options, background).await;
        Arc::new(Self(Kind::Remote(remote)))
    }

    /// Creates a verifier without a cache that calls `check` every time.
    pub fn direct(check: Arc<dyn Check>) -> Arc<Self> {
        Arc::new(Self(Kind::Direct(check)))
    }

    /// The identity of the token's owner.
    ///
    /// # Errors
    /// [`VerifyError::Rejected`] when the token is invalid; [`VerifyError::Unavailable`] when auth did not answer in
    /// time and no answer is cached; [`VerifyError::Failed`] when auth cannot read what the log has of it.
    pub async fn verify(&self, token: &str) -> Result<Arc<Identity>, VerifyError> {
        if !looks_like_a_token(token) && program_token_name(token).is_none() {
            return counted(Source::Keys, Err(Rejection::Malformed.into()));
        }
        match &self.0 {
            Kind::Direct(check) => counted(Source::Auth, check.check(token).await.map(Arc::new)),
            Kind::Remote(remote) => remote.verify(token).await,
        }
    }

    /// The person of a token with a valid signature and valid times. Its session is not checked. To be used only
    /// where an ended session does no harm, while [`Self::verify`] cannot reach auth.
    pub fn subject(&self, token: &str) -> Option<UserId> {
        match &self.0 {
            Kind::Direct(check) => check.subject(token),
            Kind::Remote(remote) => remote.subject(token),
        }
    }

    /// The person of a token with a valid signature, even if it has expired, as far as this process can decide. For
    /// the security log.
    pub fn owner(&self, token: &str) -> Option<UserId> {
        match &self.0 {
            Kind::Direct(check) => check.owner(token),
            Kind::Remote(remote) => remote.owner(token),
        }
    }

    /// Whether tokens without a cached answer can be checked, according to the connection to auth. For readiness.
    pub fn is_connected(&self) -> bool {
        match &self.0 {
            Kind::Direct(check) => check.is_connected(),
            Kind::Remote(remote) => remote.is_connected(),
        }
    }

    /// The number of cached answers. For metrics.
    pub fn remembered(&self) -> usize {
        match &self.0 {
            Kind::Direct(_) => 0,
            Kind::Remote(remote) => remote.remembered(),
        }
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("remembered", &self.remembered()).finish_non_exhaustive()
    }
}
