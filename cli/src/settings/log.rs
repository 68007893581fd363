//! The settings of logs and spans.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use url::Url;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Logs")]
pub(crate) struct Log {
    /// What is logged, for example `info` or `warn,projector=debug`
    #[arg(
        id = "log",
        long = "log",
        global = true,
        env = "TASKLEDGER_LOG",
        default_value = "info,sqlx=warn",
        value_name = "FILTER"
    )]
    pub(crate) filter: String,
    /// How it is written
    #[arg(
        id = "log-format",
        long = "log-format",
        global = true,
        env = "TASKLEDGER_LOG_FORMAT",
        default_value = "text"
    )]
    pub(crate) format: LogFormat,
    /// Where spans go: the base URL of an OpenTelemetry collector (OTLP over HTTP)
    #[arg(long, global = true, env = "TASKLEDGER_OTLP_ENDPOINT", value_name = "URL")]
    pub(crate) otlp_endpoint: Option<Url>,
    /// File that the security log is appended to [default: standard error]
    #[arg(
        id = "security-log",
        long = "security-log",
        global = true,
        env = "TASKLEDGER_SECURITY_LOG",
        value_name = "FILE"
    )]
    pub(crate) security_log: Option<PathBuf>,
}
