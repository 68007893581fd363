//! Metrics of the checks of access tokens. All roles of a process share one verifier, and so these metrics.

use std::sync::LazyLock;

use prometheus::IntCounterVec;
use runtime::process_metrics;

use crate::check::VerifyError;

static CHECKS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let checks = process_metrics().counter_vec(
        "taskledger_token_checks_total",
        "Access tokens that the roles of this process were shown, by what became of them and by who knew: memory, the public \
         keys, or auth.",
        &["outcome", "source"],
    );
    for outcome in ["accepted", "rejected", "unavailable", "failed"] {
        for source in [Source::Memory, Source::Keys, Source::Auth] {
            checks.with_label_values(&[outcome, source.name()]);
        }
    }
    checks
});

/// What decided about a token.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source {
    /// A cached answer of auth.
    Memory,
    /// The public keys: the signature is wrong, or the keys are unavailable.
    Keys,
    /// An answer of auth.
    Auth,
}

impl Source {
    fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Keys => "keys",
            Self::Auth => "auth",
        }
    }
}

/// Counts a check and returns its result.
pub(crate) fn counted<T>(source: Source, result: Result<T, VerifyError>) -> Result<T, VerifyError> {
    let outcome = match &result {
        Ok(_) => "accepted",
        Err(VerifyError::Rejected(_)) => "rejected",
        Err(VerifyError::Unavailable(_)) => "unavailable",
        Err(VerifyError::Failed) => "failed",
    };
    CHECKS.with_label_values(&[outcome, source.name()]).inc();
    result
}

/// Creates the metrics with the value zero before the first check.
pub(crate) fn show() {
    LazyLock::force(&CHECKS);
}
