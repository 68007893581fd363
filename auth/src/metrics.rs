//! What auth counts.

use prometheus::IntCounterVec;
use runtime::Metrics;

/// What auth counts.
pub(crate) struct Counters {
    logins: IntCounterVec,
    checks: IntCounterVec,
    pub(crate) ended_sessions: IntCounterVec,
}

impl Counters {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let counters = |name, help, label| metrics.counter_vec(name, help, &[label]);
        Self {
            logins: counters("taskledger_auth_logins_total", "Logins by outcome.", "outcome"),
            checks: counters(
                "taskledger_auth_token_checks_total",
                "Token checks by verdict.",
                "verdict",
            ),
            ended_sessions: counters(
                "taskledger_auth_ended_sessions_total",
                "Ended sessions by reason.",
                "reason",
            ),
        }
    }

    pub(crate) fn login(&self, outcome: &str) {
        self.logins.with_label_values(&[outcome]).inc();
    }

    pub(crate) fn check(&self, verdict: &str) {
        self.checks.with_label_values(&[verdict]).inc();
    }
}
