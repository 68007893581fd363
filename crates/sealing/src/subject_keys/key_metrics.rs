//! Metrics and log messages about the keys of people.

use events::UserId;
use prometheus::IntCounter;
use runtime::process_metrics;

pub(super) struct Counters {
    pub(super) made: IntCounter,
    pub(super) destroyed: IntCounter,
    damaged: IntCounter,
    lost: IntCounter,
}

impl Counters {
    pub(super) fn of_this_process() -> Self {
        let keys = process_metrics().counter_vec(
            "taskledger_subject_keys_total",
            "Keys of people by what became of them: made, destroyed, or found damaged or lost at an attempt to use them.",
            &["outcome"],
        );
        let outcome = |outcome: &str| keys.with_label_values(&[outcome]);
        Self {
            made: outcome("made"),
            destroyed: outcome("destroyed"),
            damaged: outcome("damaged"),
            lost: outcome("lost"),
        }
    }

    pub(super) fn report_damaged(&self, subject: UserId) {
        self.damaged.inc();
        tracing::error!(account.id = %subject, "the key of a person is damaged: `taskledger restore check` names all of them");
    }

    /// Reports that there are encrypted events about `subject`, but no key.
    pub(super) fn report_lost(&self, subject: UserId) {
        self.lost.inc();
        tracing::error!(account.id = %subject, "the key of a person is lost: `taskledger restore check` names all of them");
    }
}
