//! Counts the results of commands.

use prometheus::{IntCounter, IntCounterVec};
use runtime::Metrics;

use super::{CommandError, Executed};
use crate::domain::Command;

/// Counters of commands.
#[derive(Debug, Clone)]
pub struct CommandMetrics {
    commands: IntCounterVec,
    pub(super) conflicts: IntCounter,
    pub(super) log_replaced: IntCounter,
}

impl CommandMetrics {
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            commands: metrics.counter_vec(
                "taskledger_command_api_commands_total",
                "Commands by what became of them: accepted, unchanged (it was so already), refused or failed.",
                &["command", "outcome"],
            ),
            conflicts: metrics.counter(
                "taskledger_command_api_conflicts_total",
                "Appends that were decided again because someone else appended first.",
            ),
            log_replaced: metrics.counter(
                "taskledger_command_api_log_replaced_total",
                "Times that the log turned out to be another, and all states in memory were thrown away.",
            ),
        }
    }

    pub(super) fn count(&self, command: &Command, result: &Result<Executed, CommandError>) {
        let outcome = match result {
            Ok(Executed { changed: true, .. }) => "accepted",
            Ok(Executed { changed: false, .. }) => "unchanged",
            Err(error) if error.is_failure() => "failed",
            Err(_) => "refused",
        };
        self.commands.with_label_values(&[command.name(), outcome]).inc();
    }
}
