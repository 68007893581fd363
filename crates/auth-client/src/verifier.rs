//! Finds out whose token is presented: on the spot in auth, over the bus in every other role.

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

/// Finds out whose token is presented.
pub struct Verifier(Kind);

enum Kind {
    /// Asks every time.
    Direct(Arc<dyn Check>),
    /// Asks over the bus, and remembers.
    Remote(Arc<Remote>),
}

impl Verifier {
    /// A verifier that asks auth over `bus`. It listens to revocations in the `background`.
    pub async fn start(bus: Arc<dyn Bus>, options: VerifierOptions, background: &Background) -> Arc<Self> {
        let remote = Remote::start(bus, options, background).await;
        Arc::new(Self(Kind::Remote(remote)))
    }

    /// A verifier that remembers nothing and asks `check` every time.
    #[must_use]
    pub fn direct(check: Arc<dyn Check>) -> Arc<Self> {
        Arc::new(Self(Kind::Direct(check)))
    }

    /// Whose token this is.
    ///
    /// # Errors
    /// [`VerifyError::Rejected`] when it is no good; [`VerifyError::Unavailable`] when auth did not answer in
    /// time and nothing is remembered about it.
    pub async fn verify(&self, token: &str) -> Result<Arc<Identity>, VerifyError> {
        if !looks_like_a_token(token) && program_token_name(token).is_none() {
            return counted(Source::Keys, Err(Rejection::Malformed.into()));
        }
        match &self.0 {
            Kind::Direct(check) => counted(Source::Auth, check.check(token).await.map(Arc::new)),
            Kind::Remote(remote) => remote.verify(token).await,
        }
    }

    /// Whom a token names, if its signature and times are good by what is known here. Says nothing about its session:
    /// only for what may be wrong about that, while [`Self::verify`] finds nobody to ask.
    #[must_use]
    pub fn subject(&self, token: &str) -> Option<UserId> {
        match &self.0 {
            Kind::Direct(check) => check.subject(token),
            Kind::Remote(remote) => remote.subject(token),
        }
    }

    /// Whose token this is or was, as far as that can be told here by its signature, whatever its times say. For the security
    /// log.
    #[must_use]
    pub fn owner(&self, token: &str) -> Option<UserId> {
        match &self.0 {
            Kind::Direct(check) => check.owner(token),
            Kind::Remote(remote) => remote.owner(token),
        }
    }

    /// Whether tokens can be checked that nothing is remembered about, as far as the connection to auth goes. For readiness.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        match &self.0 {
            Kind::Direct(check) => check.is_connected(),
            Kind::Remote(remote) => remote.is_connected(),
        }
    }

    /// How many good answers are remembered now. For metrics.
    #[must_use]
    pub fn remembered(&self) -> usize {
        match &self.0 {
            Kind::Direct(_) => 0,
            Kind::Remote(remote) => remote.remembered(),
        }
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier")
            .field("remembered", &self.remembered())
            .finish_non_exhaustive()
    }
}
