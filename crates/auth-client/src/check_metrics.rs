//! What is counted about checks of access tokens, in the metrics of the process: its roles share one verifier.

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
    for outcome in ["accepted", "rejected", "unavailable"] {
        for source in [Source::Memory, Source::Keys, Source::Auth] {
            checks.with_label_values(&[outcome, source.name()]);
        }
    }
    checks
});

/// Who knew what to make of a token.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source {
    /// An answer of auth that is remembered.
    Memory,
    /// The public keys: it cannot be genuine, or they could not be had.
    Keys,
    /// Auth has answered.
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

/// Counts a check, and gives back what came of it.
pub(crate) fn counted<T>(source: Source, result: Result<T, VerifyError>) -> Result<T, VerifyError> {
    let outcome = match &result {
        Ok(_) => "accepted",
        Err(VerifyError::Rejected(_)) => "rejected",
        Err(VerifyError::Unavailable(_)) => "unavailable",
    };
    CHECKS.with_label_values(&[outcome, source.name()]).inc();
    result
}

/// So that they are there, at zero, before the first check.
pub(crate) fn show() {
    LazyLock::force(&CHECKS);
}
