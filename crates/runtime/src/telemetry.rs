//! Structured logs, to standard error: JSON for machines, text for people.

use std::{
    fs::OpenOptions, io::IsTerminal, os::unix::fs::OpenOptionsExt as _, path::Path, str::FromStr, sync::Arc,
};

use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{LevelFilter, Targets},
    fmt::writer::BoxMakeWriter,
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::start_error::StartError;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(format!("`{other}` is not a log format: expected text or json")),
        }
    }
}

/// The AMQP client prints whole messages that the broker returns to it, and token checks carry tokens.
const NEVER_LOGGED: &str = "lapin::returned_messages=off";

/// The target of the security log, whose lines are JSON and written whatever `filter` says.
pub const SECURITY: &str = "security";

/// Sends this process's logs to standard error. `filter` is in the syntax of `tracing`: `info,gateway=debug`. The security log
/// is appended to the file `security`, if there is one.
///
/// # Errors
/// When the filter cannot be read, the file cannot be written, or when called twice.
pub fn init(filter: &str, format: LogFormat, security: Option<&Path>) -> Result<(), StartError> {
    init_with(filter, format, security, None)
}

/// A layer that sees the same spans and events as the logs.
pub type ExtraLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// As [`init`], with a layer beside the logs.
///
/// # Errors
/// As [`init`].
pub fn init_with(
    filter: &str,
    format: LogFormat,
    security: Option<&Path>,
    extra: Option<ExtraLayer>,
) -> Result<(), StartError> {
    let read_filter = || {
        EnvFilter::try_new(format!("{filter},{NEVER_LOGGED},{SECURITY}=off")).map_err(|error| {
            StartError::BadLogFilter {
                filter: filter.to_owned(),
                reason: error.to_string(),
            }
        })
    };
    let extra = match extra {
        Some(extra) => Some(extra.with_filter(read_filter()?)),
        None => None,
    };
    let filter = read_filter()?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Text => lines
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .boxed(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .boxed(),
    };
    let security = tracing_subscriber::fmt::layer()
        .with_writer(security_writer(security)?)
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_filter(Targets::new().with_target(SECURITY, LevelFilter::INFO));
    tracing_subscriber::registry()
        .with(extra)
        .with(lines.with_filter(filter))
        .with(security)
        .try_init()
        .map_err(|_| StartError::LoggingTwice)
}

/// The file, which only its owner can read, or standard error. Each line is one write, so that several processes can share
/// a file.
fn security_writer(path: Option<&Path>) -> Result<BoxMakeWriter, StartError> {
    let Some(path) = path else {
        return Ok(BoxMakeWriter::new(std::io::stderr));
    };
    let mut options = OpenOptions::new();
    let file = options.append(true).create(true).mode(0o600).open(path);
    let file = file.map_err(|source| StartError::CannotLog {
        path: path.to_owned(),
        source,
    })?;
    Ok(BoxMakeWriter::new(Arc::new(file)))
}
