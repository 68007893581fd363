//! The settings of data that is deleted after a time.

use std::time::Duration;

use clap::Args;

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Retention")]
pub(crate) struct Retention {
    /// Days after which a task in the trash is purged, 1 to 36500 [default: never]
    #[arg(long, env = "TASKLEDGER_TRASH_RETENTION_DAYS", value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=36_500))]
    trash_retention_days: Option<u32>,
}

impl Retention {
    /// How long a task stays in the trash. `None` means for ever.
    pub(crate) fn trash(&self) -> Option<Duration> {
        let days = self.trash_retention_days?;
        Some(Duration::from_secs(u64::from(days) * 24 * 60 * 60))
    }
}
