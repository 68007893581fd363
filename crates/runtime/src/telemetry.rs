//! Structured logs, to standard error or files: JSON for machines, text for people. No work waits for a log to be
//! written.

use std::{
    fs::File,
    io::IsTerminal,
    panic,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{FilterExt as _, LevelFilter, Targets, combinator::And},
    layer::{Identity, SubscriberExt},
    registry::LookupSpan,
    util::SubscriberInitExt,
};

pub use crate::access_sampling::{DURATION, STATUS, Sampling};
use crate::{
    access_sampling::Sampler,
    line_writer::{LineWriter, Log},
    private_files,
    process_metrics::process_metrics,
    start_error::StartError,
};

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Directives that are always added: the AMQP client logs whole messages that the broker returns, and token checks
/// contain tokens.
const NEVER_LOGGED: &str = "lapin::returned_messages=off";

/// The AMQP client, which logs the bytes of every message at the level `trace`, and as an error each channel that the
/// broker closes, also where that is expected. What is wrong is logged by the bus itself.
const AMQP_CLIENT: &str = "lapin";

/// The levels, for messages.
const LEVELS: &str = "off, error, warn, info, debug and trace";

/// The target of the security log. Its lines are JSON, and are written with any `filter`.
pub const SECURITY: &str = "security";

/// The target of the access log.
pub const ACCESS: &str = "access";

/// How long lines of the access log are collected before they are written, because there are many.
const GATHER_ACCESS: Duration = Duration::from_millis(5);
/// How long the end of the process waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(2);
/// How long it then waits for the line that reports a delay.
const LAST_WORD: Duration = Duration::from_millis(100);

/// The options of the logs of a process.
#[derive(Debug, Clone, Copy)]
pub struct LogOptions<'a> {
    /// The filter, in the syntax of `tracing`: `info,gateway=debug`.
    pub filter: &'a str,
    /// The format on standard error, except for the security log.
    pub format: LogFormat,
    /// The file of the security log; `None` means standard error.
    pub security: Option<&'a Path>,
    /// The file of the access log, in JSON; `None` means standard error.
    pub access: Option<&'a Path>,
    /// How much of the access log is written.
    pub sampling: Sampling,
}

/// A layer that sees the same spans and events as the logs.
pub type ExtraLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// The logs of this process, each written by a thread. When this is dropped, also by a panic, it waits a moment for
/// the remaining lines.
pub struct Logs {
    lines: LineWriter,
    security: LineWriter,
    access: LineWriter,
}

impl Logs {
    fn start(options: &LogOptions<'_>) -> Result<Self, StartError> {
        let log = |name, gather, metric, help| Log {
            name,
            gather,
            dropped: process_metrics().counter(metric, help),
        };
        let lines = log(
            "log",
            Duration::ZERO,
            "taskledger_log_dropped_total",
            "Lines of the log that could not be written in time, or not at all.",
        );
        let security = log(
            "security log",
            Duration::ZERO,
            "taskledger_security_log_dropped_total",
            "Lines of the security log that could not be written in time, or not at all.",
        );
        let access = log(
            "access log",
            GATHER_ACCESS,
            "taskledger_access_log_dropped_total",
            "Lines of the access log that could not be written in time, or not at all.",
        );
        Ok(Self {
            lines: writer(None, lines)?,
            security: writer(options.security, security)?,
            access: writer(options.access, access)?,
        })
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        let deadline = Instant::now() + LAST_LINES;
        let in_time = [&self.lines, &self.security, &self.access]
            .map(|log| log.flush(deadline.saturating_duration_since(Instant::now())));
        if in_time.contains(&false) {
            tracing::warn!("the last lines of the logs could not be written in time");
            self.lines.flush(LAST_WORD);
        }
    }
}

/// The filter `filter` with the directives in `rest`. The bodies of messages are never logged.
fn read_filter<S>(filter: &str, rest: &str) -> Result<And<EnvFilter, Targets, S>, StartError> {
    let refused = |reason: String| StartError::BadLogFilter { filter: filter.to_owned(), reason };
    let directives = checked(filter).map_err(refused)?;
    let without_messages = Targets::new()
        .with_default(LevelFilter::TRACE)
        .with_target(AMQP_CLIENT, amqp_client_level(&directives));
    EnvFilter::try_new(format!("{directives},{NEVER_LOGGED},{SECURITY}=off{rest}"))
        .map(|lines| lines.and(without_messages))
        .map_err(|error| refused(error.to_string()))
}

/// The directives of `filter` without spaces around them. The library takes a word that is no level for a target, and
/// then logs nothing else.
fn checked(filter: &str) -> Result<String, String> {
    let directives: Vec<&str> = filter.split(',').map(str::trim).collect();
    let is_unknown_level = |directive: &&&str| {
        !directive.contains(['=', '[', ']', '{', '}']) && directive.parse::<LevelFilter>().is_err()
    };
    match directives.iter().find(is_unknown_level) {
        Some(word) => Err(format!("`{word}` is none of the levels {LEVELS}")),
        None => Ok(directives.join(",")),
    }
}

/// The most that is logged of the AMQP client with these directives: nothing, unless they name it, or ask for details
/// of everything.
fn amqp_client_level(directives: &str) -> LevelFilter {
    let asks = |directive: &str| {
        let level = directive.parse::<LevelFilter>();
        directive.starts_with(AMQP_CLIENT) || level.is_ok_and(|level| level >= LevelFilter::DEBUG)
    };
    match directives.split(',').any(asks) {
        true => LevelFilter::DEBUG,
        false => LevelFilter::OFF,
    }
}

/// Starts the logs of this process according to `options`, with an additional layer.
///
/// # Errors
/// When the filter cannot be read, a file cannot be written, or when called twice.
pub fn init(options: LogOptions<'_>, extra: Option<ExtraLayer>) -> Result<Logs, StartError> {
    let without_access = format!(",{ACCESS}=off");
    // `None` in place of a layer would count as one that wants everything, and every span and line would be made.
    let extra = match extra {
        Some(extra) => extra.with_filter(read_filter(options.filter, &without_access)?).boxed(),
        None => Identity::new().with_filter(LevelFilter::OFF).boxed(),
    };
    let logs = Logs::start(&options)?;
    let lines = layer(&logs.lines, options.format, true);
    let security = layer(&logs.security, LogFormat::Json, false)
        .with_filter(Targets::new().with_target(SECURITY, LevelFilter::INFO));
    let access_format = match options.access {
        Some(_) => LogFormat::Json,
        None => options.format,
    };
    let access = layer(&logs.access, access_format, false);
    let of_access = read_filter(options.filter, "")?
        .and(Targets::new().with_target(ACCESS, LevelFilter::TRACE))
        .and(Sampler::new(options.sampling));
    tracing_subscriber::registry()
        .with(extra)
        .with(lines.with_filter(read_filter(options.filter, &without_access)?))
        .with(security)
        .with(access.with_filter(of_access))
        .try_init()
        .map_err(|_| StartError::LoggingTwice)?;
    // The default handler would write to standard error directly, and might block.
    panic::set_hook(Box::new(|panic| {
        let at = panic.location().map(ToString::to_string);
        let message = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(panic = message, at, "a thread panicked");
    }));
    Ok(logs)
}

/// The lines of one log. Lines in JSON have the span around them if `with_span` says so; text always has it.
fn layer<S>(log: &LineWriter, format: LogFormat, with_span: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let lines = tracing_subscriber::fmt::layer::<S>().with_writer(log.clone());
    match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).with_target(false).boxed(),
        LogFormat::Json => {
            lines.json().flatten_event(true).with_current_span(with_span).with_span_list(false).boxed()
        }
    }
}

/// Opens a file or standard error, and starts the thread that writes to it. It writes complete lines, so several
/// processes can share a file.
fn writer(path: Option<&Path>, log: Log) -> Result<LineWriter, StartError> {
    let writer = match path {
        Some(path) => LineWriter::start(appended(path)?, log),
        None => LineWriter::start(std::io::stderr(), log),
    };
    writer.map_err(|source| StartError::CannotLog {
        path: path.map_or_else(|| PathBuf::from("on standard error"), Path::to_owned),
        source,
    })
}

fn appended(path: &Path) -> Result<File, StartError> {
    private_files::open_to_append(path)
        .map_err(|source| StartError::CannotLog { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::{LEVELS, LevelFilter, amqp_client_level, checked};

    #[test]
    fn a_word_that_is_no_level_is_refused_with_those_that_there_are() {
        for filter in ["loud", "info,loud", "wran,projector=debug", "projector", "6"] {
            let reason = checked(filter).unwrap_err();
            assert!(reason.contains(LEVELS), "{filter}: {reason}");
        }
    }

    #[test]
    fn levels_targets_and_spans_are_taken_without_the_spaces_around_them() {
        for filter in ["", "info", "INFO", "3", "off", "info,sqlx=warn", "warn,[request],auth[request]=debug"]
        {
            assert_eq!(checked(filter).as_deref(), Ok(filter));
        }
        let spaced = checked(" info, projector=debug ");
        assert_eq!(spaced.as_deref(), Ok("info,projector=debug"));
    }

    #[test]
    fn the_amqp_client_is_silent_unless_somebody_asks_for_it() {
        for (directives, level) in [
            ("info,sqlx=warn", LevelFilter::OFF),
            ("", LevelFilter::OFF),
            ("warn,projector=debug", LevelFilter::OFF),
            ("debug", LevelFilter::DEBUG),
            ("5,sqlx=warn", LevelFilter::DEBUG),
            ("info,lapin=error", LevelFilter::DEBUG),
            ("info,lapin::channel=trace", LevelFilter::DEBUG),
        ] {
            assert_eq!(amqp_client_level(directives), level, "{directives}");
        }
    }
}
