//! The options of a verifier.

use std::{sync::Arc, time::Duration};

use runtime::{Clock, SystemClock};

/// The options of a [`Verifier`](crate::Verifier).
#[derive(Clone)]
pub struct VerifierOptions {
    /// How long to wait for auth.
    pub deadline: Duration,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

impl Default for VerifierOptions {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(2), clock: Arc::new(SystemClock) }
    }
}
