//! Metrics of password hashing in this process: how many are hashed, wait, or were refused.

use std::sync::LazyLock;

use runtime::{Counted, metrics, process_metrics};

static METRICS: LazyLock<HashMetrics> = LazyLock::new(|| HashMetrics::new(process_metrics()));

metrics! {
    struct HashMetrics {
        /// Passwords that are being hashed, or wait for a thread.
        passwords: gauge_vec("taskledger_auth_password_hashes", &["state"]);
        /// Passwords that were not hashed, because too many waited at all or from one address.
        refused: counter_vec("taskledger_auth_password_hashes_refused_total", &["reason"]);
    }
}

/// Counts one password that is `running` or `waiting`, until the result is dropped.
pub(super) fn counted(state: &str) -> Counted {
    Counted::in_gauge(&METRICS.passwords.with_label_values(&[state]))
}

/// Counts a refused request.
pub(super) fn refused(reason: &str) {
    METRICS.refused.with_label_values(&[reason]).inc();
}

/// Creates the metrics with the value zero before the first password.
pub(super) fn show() {
    for state in ["running", "waiting"] {
        METRICS.passwords.with_label_values(&[state]);
    }
    for reason in ["overloaded", "crowded", "broken"] {
        METRICS.refused.with_label_values(&[reason]);
    }
}
