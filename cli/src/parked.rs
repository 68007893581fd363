//! Shows, retries and discards events that cannot be projected.

use std::{collections::HashSet, process::ExitCode};

use ::events::StreamName;
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use database::Database;
use projector::{Discarded, ParkedEvent, ParkingError, Retried};
use serde_json::{Value, json};

use crate::{
    confirmation::Confirmation,
    existing_database, existing_log,
    operation::{Attribution, Conclusion},
    output,
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
    /// Asks for confirmation in a terminal.
    Discard {
        /// Its position in the log
        position: u64,
        #[command(flatten)]
        confirmation: Confirmation,
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
    let read_models = existing_database::read_models(settings).await?;
    match command {
        Command::List { json } => list(&read_models, json).await?,
        Command::Show { position, json } => {
            let event = projector::parked_at(&read_models, position).await?;
            let event = event.with_context(|| format!("no parked event at position {position}"))?;
            if json {
                output::json(&to_json(&event))?;
            } else {
                output::line(&format!("reason    {}\nattempts  {}\n", event.reason, event.attempts))?;
                let show = crate::events::Command::Show { what: position.to_string(), json: false };
                return crate::events::run(settings, show).await;
            }
        }
        Command::Retry(command) => return retry(settings, &read_models, command).await,
        Command::Discard { position, confirmation, attribution } => {
            confirmation.ask(&format!("Give up on the event at position {position}, for good?")).await?;
            let store = existing_log::event_store(settings).await?;
            let command = format!("parked discard {position}");
            let discard = async |_| discard(&read_models, position).await;
            return attribution.record(settings, &*store, &command, discard).await;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn retry(settings: &Settings, read_models: &Database, command: Retry) -> anyhow::Result<ExitCode> {
    let Retry { which, attribution } = command;
    let stream = which.stream.map(StreamName::raw);
    let is_parked = match &stream {
        Some(stream) => !projector::parked_among(read_models, &[stream]).await?.is_empty(),
        None => !projector::parked(read_models, 0).await?.is_empty(),
    };
    let name = match (is_parked, &stream) {
        (true, Some(stream)) => format!("parked retry {stream}"),
        (true, None) => "parked retry --all".to_owned(),
        (false, Some(stream)) => bail!(ParkingError::StreamNotParked(stream.clone())),
        (false, None) => {
            output::line("nothing is parked")?;
            return Ok(ExitCode::SUCCESS);
        }
    };
    let store = existing_log::opened_event_store(settings).await?;
    let foreign = projector::foreign_checkpoints(store.as_ref(), read_models).await?;
    if !foreign.is_empty() {
        bail!(ParkingError::OtherLog);
    }
    let one = async |stream: &StreamName| projector::retry(store.as_ref(), read_models, stream).await;
    let retry = async |_| match &stream {
        Some(stream) => {
            let mut results = Results::default();
            results.retry(stream, &one).await;
            Ok(results.conclusion())
        }
        None => {
            let page = async |after| Ok(projector::parked(read_models, after).await?);
            retry_all(page, &one).await
        }
    };
    attribution.record(settings, &*store, &name, retry).await
}

/// Retries every parked stream, in the order of their first parked events, which `page` returns after a position.
async fn retry_all(
    page: impl AsyncFn(u64) -> anyhow::Result<Vec<ParkedEvent>>,
    retry: &impl AsyncFn(&StreamName) -> Result<Retried, ParkingError>,
) -> anyhow::Result<Conclusion> {
    let (mut results, mut after) = (Results::default(), 0);
    loop {
        let parked = page(after).await?;
        let Some(last) = parked.last() else {
            return Ok(results.conclusion());
        };
        after = last.position;
        for event in parked.iter().filter(|event| event.is_first) {
            results.retry(&event.stream, retry).await;
        }
    }
}

/// What became of the retried streams.
#[derive(Default)]
struct Results {
    projected: u64,
    still: u64,
    failed: u64,
    /// The streams of which a part was projected: their first parked event is a later one now.
    moved: HashSet<StreamName>,
}

impl Results {
    /// Retries one stream, unless it was retried before. One that cannot be retried keeps no other from it.
    async fn retry(
        &mut self,
        stream: &StreamName,
        retry: &impl AsyncFn(&StreamName) -> Result<Retried, ParkingError>,
    ) {
        if self.moved.contains(stream) {
            return;
        }
        match retry(stream).await {
            Ok(Retried { projected, parked }) => {
                self.projected += projected;
                self.still += parked;
                if projected > 0 && parked > 0 {
                    self.moved.insert(stream.clone());
                }
                output::say(&format!("{stream}: {projected} projected, {parked} still parked"));
            }
            // Another command was faster.
            Err(ParkingError::StreamNotParked(_)) => output::say(&format!("{stream}: no longer parked")),
            Err(error) => {
                self.failed += 1;
                crate::complain(&format!("{stream}: {error}"));
            }
        }
    }

    fn conclusion(&self) -> Conclusion {
        let mut result = format!("{} projected, {} still parked", self.projected, self.still);
        if self.failed > 0 {
            result.push_str(&format!(", {} failed", output::counted(self.failed, "stream")));
        }
        Conclusion::of(self.still == 0 && self.failed == 0).with_result(result)
    }
}

async fn discard(read_models: &Database, position: u64) -> anyhow::Result<Conclusion> {
    let Discarded { event, later } = projector::discard(read_models, position).await?;
    output::say(&format!("the event at position {position} is passed over from now on"));
    let rest = format!("`taskledger parked retry {}` projects the rest", event.stream);
    match later {
        Some(0) => {}
        Some(later) => {
            output::say(&format!("{} of its stream: {rest}", output::counted(later, "later parked event")))
        }
        None => output::say(&format!("more of its stream may be parked: {rest}")),
    }
    let result = format!("version {} of {}", event.version, event.stream);
    Ok(Conclusion::succeeded().with_result(result))
}

/// Writes the parked events page by page, each page as a table of its own.
async fn list(read_models: &Database, json: bool) -> anyhow::Result<()> {
    let mut after = 0;
    loop {
        let parked = projector::parked(read_models, after).await?;
        let Some(last) = parked.last() else {
            return match (after, json) {
                (0, false) => output::line("nothing is parked"),
                _ => Ok(()),
            };
        };
        after = last.position;
        if json {
            parked.iter().try_for_each(|event| output::json(&to_json(event)))?;
        } else {
            table(&parked)?;
        }
    }
}

fn table(parked: &[ParkedEvent]) -> anyhow::Result<()> {
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
    output::table(&["position", "stream", "version", "type", "attempts", "reason"], &rows)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parked(position: u64, stream: &str, is_first: bool) -> ParkedEvent {
        ParkedEvent {
            position,
            stream: StreamName::raw(stream),
            version: position,
            kind: "task.created".to_owned(),
            reason: "test".to_owned(),
            attempts: 1,
            is_first,
        }
    }

    #[tokio::test]
    async fn a_stream_that_cannot_be_retried_keeps_no_other_from_it() {
        let retry = async |stream: &StreamName| match stream.as_str() {
            "gone" => Err(ParkingError::StreamNotParked(stream.clone())),
            "absent" => Err(ParkingError::NotInLog { stream: stream.clone(), version: 1 }),
            _ => Ok(Retried { projected: 1, parked: 0 }),
        };
        let told = async |streams: &[&str]| {
            let page = async |after: u64| {
                let streams = (1..).zip(streams).map(|(position, stream)| parked(position, stream, true));
                Ok(streams.filter(|event| event.position > after).take(2).collect())
            };
            format!("{:?}", retry_all(page, &retry).await.unwrap())
        };
        let all = told(&["a", "gone", "absent", "b"]).await;
        assert!(all.contains("Failed") && all.contains("2 projected, 0 still parked"), "{all}");
        let some = told(&["a", "gone"]).await;
        assert!(some.contains("Succeeded") && some.contains("1 projected"), "{some}");
    }

    #[tokio::test]
    async fn a_stream_of_which_a_part_was_projected_is_not_retried_again_on_a_later_page() {
        let retry = async |_: &StreamName| Ok(Retried { projected: 1, parked: 1 });
        let page = async |after: u64| {
            Ok(match after {
                0 => vec![parked(1, "a", true), parked(2, "a", false)],
                2 => vec![parked(3, "a", true)],
                _ => Vec::new(),
            })
        };
        let told = format!("{:?}", retry_all(page, &retry).await.unwrap());
        assert!(told.contains("1 projected, 1 still parked"), "{told}");
    }
}
