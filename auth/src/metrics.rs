//! The counters of auth.

use runtime::metrics;

metrics! {
    /// The counters of auth.
    pub(crate) struct Counters {
        /// Logins by outcome.
        logins: counter_vec("taskledger_auth_logins_total", &["outcome"]);
        /// Token checks by verdict.
        checks: counter_vec("taskledger_auth_token_checks_total", &["verdict"]);
        /// Ended sessions by reason.
        pub(crate) ended_sessions: counter_vec("taskledger_auth_ended_sessions_total", &["reason"]);
        /// Rows of accounts left out of a page because this release cannot read them.
        pub(crate) unreadable_rows: counter("taskledger_auth_unreadable_rows_total");
        /// 1 while a record of the stream of the admins cannot be read, and the admins or the roles that need a second
        /// factor have not been named since.
        pub(crate) admins_to_name: gauge("taskledger_auth_admins_to_name");
        /// Keys of people: held, and destroyed with those who were erased.
        pub(crate) subject_keys: gauge_vec("taskledger_auth_subject_keys", &["state"]);
        /// Erasures that have begun and are still looked after.
        pub(crate) erasures_pending: gauge("taskledger_auth_erasures_pending");
        /// How long ago the oldest of the erasures that are looked after began; 0 without any.
        pub(crate) oldest_erasure: gauge("taskledger_auth_oldest_erasure_seconds");
    }
}

impl Counters {
    pub(crate) fn login(&self, outcome: &str) {
        self.logins.with_label_values(&[outcome]).inc();
    }

    pub(crate) fn check(&self, verdict: &str) {
        self.checks.with_label_values(&[verdict]).inc();
    }
}
