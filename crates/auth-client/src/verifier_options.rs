//! The options of a verifier.

use std::{sync::Arc, time::Duration};

use runtime::{Clock, SystemClock};

use crate::claims::DEFAULT_ISSUER;

/// The options of a [`Verifier`](crate::Verifier).
#[derive(Clone)]
pub struct VerifierOptions {
    /// The most answers that are cached.
    pub capacity: usize,
    /// How long an answer is cached at most.
    pub ttl: Duration,
    /// How long to wait for auth.
    pub deadline: Duration,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// `iss` of the tokens that are accepted.
    pub issuer: String,
    /// `aud` of the tokens that are accepted.
    pub audience: String,
}

impl Default for VerifierOptions {
    fn default() -> Self {
        Self {
            capacity: 100_000,
            ttl: Duration::from_secs(30),
            deadline: Duration::from_secs(2),
            clock: Arc::new(SystemClock),
            issuer: DEFAULT_ISSUER.to_owned(),
            audience: DEFAULT_ISSUER.to_owned(),
        }
    }
}
