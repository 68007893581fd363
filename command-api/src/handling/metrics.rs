//! Counts the results of commands.

use runtime::metrics;

use super::{CommandError, Executed};
use crate::domain::Command;

metrics! {
    /// Counters of commands.
    #[derive(Debug, Clone)]
    pub struct CommandMetrics {
        /// Commands by what became of them: accepted, unchanged (it was so already), refused or failed.
        commands: counter_vec("taskledger_command_api_commands_total", &["command", "outcome"]);
        /// Appends that were decided again because someone else appended first.
        pub(super) conflicts: counter("taskledger_command_api_conflicts_total");
        /// Times that the log turned out to be another, and all states in memory were thrown away.
        pub(super) log_replaced: counter("taskledger_command_api_log_replaced_total");
    }
}

impl CommandMetrics {
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
