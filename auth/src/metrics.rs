//! The counters of auth.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};
use runtime::Metrics;

/// The counters of auth.
pub(crate) struct Counters {
    logins: IntCounterVec,
    checks: IntCounterVec,
    pub(crate) ended_sessions: IntCounterVec,
    pub(crate) unreadable_rows: IntCounter,
    pub(crate) admins_to_name: IntGauge,
    pub(crate) subject_keys: IntGaugeVec,
    pub(crate) erasures_pending: IntGauge,
    pub(crate) oldest_erasure: IntGauge,
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
            unreadable_rows: metrics.counter(
                "taskledger_auth_unreadable_rows_total",
                "Rows of accounts left out of a page because this release cannot read them.",
            ),
            admins_to_name: metrics.gauge(
                "taskledger_auth_admins_to_name",
                "1 while a record of the stream of the admins cannot be read, and the admins or the roles that need a \
                 second factor have not been named since.",
            ),
            subject_keys: metrics.gauge_vec(
                "taskledger_auth_subject_keys",
                "Keys of people: held, and destroyed with those who were erased.",
                &["state"],
            ),
            erasures_pending: metrics.gauge(
                "taskledger_auth_erasures_pending",
                "Erasures that have begun and are still looked after.",
            ),
            oldest_erasure: metrics.gauge(
                "taskledger_auth_oldest_erasure_seconds",
                "How long ago the oldest of the erasures that are looked after began; 0 without any.",
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
