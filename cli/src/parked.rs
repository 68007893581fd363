//! Shows, retries and discards events that cannot be projected.

use std::process::ExitCode;

use ::events::{StreamName, UserId};
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use database::Database;
use projector::{ParkedEvent, ParkingError};
use serde_json::{Value, json};

use crate::{
    operation::{Attribution, Conclusion},
    output, platform,
    settings::Settings,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the parked events, oldest first
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show why an event is parked, and the event
    Show {
        /// Its position in the log
        position: u64,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Try again to project what is parked, stream by stream, in order
    Retry(Retry),
    /// Give up on a parked event, for good: its stream goes on without it, also in a rebuild
    ///
    /// It must be the first one of its stream that is parked. What comes after it stays parked until it is retried.
    Discard {
        /// Its position in the log
        position: u64,
        #[command(flatten)]
        attribution: Attribution,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Retry {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    attribution: Attribution,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The stream to retry
    #[arg(value_name = "STREAM")]
    stream: Option<String>,
    /// Retry every parked stream
    #[arg(long)]
    all: bool,
}

/// Fails with exit code 1 when something asked for is not parked, or stays parked after another try.
pub(crate) async fn run(settings: &Settings, command: Command) -> anyhow::Result<ExitCode> {
    let storage = &settings.storage;
    let read_models = platform::existing_read_models(storage).await?;
    match command {
        Command::List { json } => {
            let parked = projector::parked(&read_models).await?;
            list(&parked, json)?;
        }
        Command::Show { position, json } => {
            let parked = projector::parked(&read_models).await?;
            let event = parked.iter().find(|event| event.position == position);
            let event = event.with_context(|| format!("no parked event at position {position}"))?;
            if json {
                output::json(&to_json(event))?;
            } else {
                output::line(&format!(
                    "reason    {}\nattempts  {}\n",
                    event.reason, event.attempts
                ))?;
                let show = crate::events::Command::Show {
                    what: position.to_string(),
                    json: false,
                };
                return crate::events::run(settings, show).await;
            }
        }
        Command::Retry(command) => return retry(settings, &read_models, command).await,
        Command::Discard {
            position,
            attribution,
        } => {
            let store = platform::existing_event_store(storage).await?;
            let command = format!("parked discard {position}");
            let discard = async |_| discard(&read_models, position).await;
            return attribution
                .record(&*store, &command, UserId::NOBODY, discard)
                .await;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn retry(settings: &Settings, read_models: &Database, command: Retry) -> anyhow::Result<ExitCode> {
    let Retry { which, attribution } = command;
    let parked = streams(projector::parked(read_models).await?);
    let (name, streams) = match which.stream.map(StreamName::raw) {
        Some(stream) if !parked.contains(&stream) => bail!(ParkingError::StreamNotParked(stream)),
        Some(stream) => (format!("parked retry {stream}"), vec![stream]),
        None => ("parked retry --all".to_owned(), parked),
    };
    if streams.is_empty() {
        output::line("nothing is parked")?;
        return Ok(ExitCode::SUCCESS);
    }
    let store = platform::existing_opened_event_store(settings).await?;
    let retry = async |_| {
        let (mut projected, mut still) = (0, 0);
        for stream in &streams {
            let retried = projector::retry(store.as_ref(), read_models, stream).await?;
            projected += retried.projected;
            still += retried.parked;
            output::line(&format!(
                "{stream}: {} projected, {} still parked",
                retried.projected, retried.parked
            ))?;
        }
        let conclusion = match still {
            0 => Conclusion::succeeded(),
            _ => Conclusion::failed(),
        };
        Ok(conclusion.with_result(format!("{projected} projected, {still} still parked")))
    };
    attribution.record(&*store, &name, UserId::NOBODY, retry).await
}

async fn discard(read_models: &Database, position: u64) -> anyhow::Result<Conclusion> {
    let parked = projector::parked(read_models).await?;
    projector::discard(read_models, position).await?;
    output::line(&format!(
        "the event at position {position} is passed over from now on"
    ))?;
    let Some(discarded) = parked.iter().find(|event| event.position == position) else {
        return Ok(Conclusion::succeeded());
    };
    let later = parked
        .iter()
        .filter(|event| event.stream == discarded.stream && event.position > position)
        .count();
    if later > 0 {
        output::line(&format!(
            "{} of its stream: `taskledger parked retry {}` projects the rest",
            output::counted(later as u64, "later parked event"),
            discarded.stream
        ))?;
    }
    let result = format!("version {} of {}", discarded.version, discarded.stream);
    Ok(Conclusion::succeeded().with_result(result))
}

fn list(parked: &[ParkedEvent], json: bool) -> anyhow::Result<()> {
    if json {
        return parked.iter().try_for_each(|event| output::json(&to_json(event)));
    }
    if parked.is_empty() {
        return output::line("nothing is parked");
    }
    let rows: Vec<Vec<String>> = parked
        .iter()
        .map(|event| {
            vec![
                event.position.to_string(),
                event.stream.to_string(),
                event.version.to_string(),
                event.kind.clone(),
                event.attempts.to_string(),
                event.reason.clone(),
            ]
        })
        .collect();
    output::table(
        &["position", "stream", "version", "type", "attempts", "reason"],
        &rows,
    )
}

fn to_json(event: &ParkedEvent) -> Value {
    json!({
        "position": event.position,
        "stream": event.stream.as_str(),
        "version": event.version,
        "type": event.kind,
        "reason": event.reason,
        "attempts": event.attempts,
    })
}

/// Each stream once, in the order of its first parked event.
fn streams(parked: Vec<ParkedEvent>) -> Vec<StreamName> {
    let mut streams = Vec::new();
    for event in parked {
        if !streams.contains(&event.stream) {
            streams.push(event.stream);
        }
    }
    streams
}
