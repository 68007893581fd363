//! The settings of logs and spans.

use std::path::PathBuf;

use clap::Args;
use runtime::LogFormat;
use url::Url;

use crate::choice::one_of;

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Logs")]
pub(crate) struct Log {
    /// What is logged, for example `info` or `warn,projector=debug`
    #[arg(
        id = "log",
        long = "log",
        env = "TASKLEDGER_LOG",
        default_value = "info,sqlx=warn",
        value_name = "FILTER"
    )]
    pub(crate) filter: String,
    /// How it is written
    #[arg(
        id = "log-format",
        long = "log-format",
        env = "TASKLEDGER_LOG_FORMAT",
        default_value = "text",
        value_parser = one_of([
            ("text", "For people", LogFormat::Text),
            ("json", "For machines: one JSON object a line", LogFormat::Json),
        ])
    )]
    pub(crate) format: LogFormat,
    /// Where spans go: the base URL of an OpenTelemetry collector (OTLP over HTTP)
    #[arg(long, env = "TASKLEDGER_OTLP_ENDPOINT", value_name = "URL")]
    pub(crate) otlp_endpoint: Option<Url>,
    /// File that the security log is appended to [default: standard error]
    #[arg(long, env = "TASKLEDGER_SECURITY_LOG", value_name = "FILE")]
    pub(crate) security_log: Option<PathBuf>,
}
