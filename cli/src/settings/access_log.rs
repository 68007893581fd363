//! The settings of the access log.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use runtime::telemetry::Sampling;

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Access log")]
pub(crate) struct AccessLog {
    /// File that the access log is appended to, in JSON [default: standard error, like the other logs]
    #[arg(id = "access-log", long = "access-log", env = "TASKLEDGER_ACCESS_LOG", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Log one in this number of the requests that succeed in time; errors and slow requests are always logged
    #[arg(long, env = "TASKLEDGER_ACCESS_LOG_SAMPLE", default_value_t = 1, value_name = "N",
          value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    access_log_sample: u64,
    /// Milliseconds from which a request counts as slow
    #[arg(long, env = "TASKLEDGER_ACCESS_LOG_SLOW_MS", default_value_t = 1_000, value_name = "MS",
          value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    access_log_slow_ms: u64,
}

impl AccessLog {
    pub(crate) fn sampling(&self) -> Sampling {
        Sampling { one_in: self.access_log_sample, slow: Duration::from_millis(self.access_log_slow_ms) }
    }
}
