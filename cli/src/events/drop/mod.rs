//! `taskledger events drop` writes the payloads of streams that ended long ago to a file, and then removes them from
//! the log.

mod ended;
mod plan;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::ExitCode,
};

use ::events::{DropCommand, ExportedPayloads, StreamName, Timestamp};
use anyhow::ensure;
use clap::Args;
use database::Schema;
use event_store::EventStore;
use log_transfer::{End, Excerpt};
use projector::DroppedRows;

use self::ended::{DropDecision, Ended};
use crate::{
    data_dir, existing_database, existing_log,
    operation::{Attribution, Conclusion},
    output, platform,
    progress::ProgressDisplay,
    settings::{Settings, Storage},
};

/// Minimum age of what is dropped, in days. A session expires within a week, an idempotency key is kept for a day,
/// and clocks may differ.
const YOUNGEST_DAYS: i64 = 8;

const AS_LARGE: &str = "the file of the log is as large as before, and new events fill the room: to make it smaller, stop the \
    system and whatever else reads it, and give this command again";

#[derive(Debug, Args)]
pub(crate) struct Drop {
    /// Drop what ended before this time, at least eight days ago, such as 2026-01-01T00:00:00Z
    #[arg(long, value_name = "TIME")]
    ended_before: Timestamp,
    /// File to write the events to before their payloads are dropped, readable only by its owner; an interrupted run
    /// continues with its file
    #[arg(long, value_name = "FILE", required_unless_present = "dry_run")]
    export: Option<PathBuf>,
    /// Print what would be dropped, without changing anything
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    attribution: Attribution,
}

impl Drop {
    pub(super) async fn run(&self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let youngest = platform::clock().now().plus_seconds(-YOUNGEST_DAYS * 24 * 60 * 60);
        ensure!(
            self.ended_before <= youngest,
            "what ended less than {YOUNGEST_DAYS} days ago may still be asked for: name a time up to {youngest}"
        );
        match &self.export {
            Some(export) if !self.dry_run => self.carry_out(settings, export).await,
            _ => self.tell(settings).await,
        }
    }

    async fn tell(&self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let stored = existing_log::event_store(settings).await?;
        stored.drop_payloads(&[]).await?;
        let opened = existing_log::opened_event_store(settings).await?;
        let read_models = existing_database::read_models(settings).await?;
        let mut ended = Ended::before(self.ended_before, &*opened, &read_models);
        let export = self.export.as_deref();
        let (excerpt, plan) = plan::look(export, &*stored, &mut ended, &read_models).await?;
        let export = export.filter(|_| excerpt.is_some());
        output::line(&match excerpt {
            Some(excerpt) => format!(
                "would drop the payloads of {}, out of {} in the file; nothing was changed",
                output::counted(plan.left, "event"),
                excerpt.end().events
            ),
            None => format!(
                "would drop the payloads of {}, {}; nothing was changed",
                output::counted(plan.new, "event"),
                output::counted(plan.new_bytes, "byte"),
            ),
        })?;
        plan.tell(export);
        Ok(ExitCode::SUCCESS)
    }

    async fn carry_out(&self, settings: &Settings, export: &Path) -> anyhow::Result<ExitCode> {
        // This creates no log where there is none.
        let stored = existing_log::event_store(settings).await?;
        stored.drop_payloads(&[]).await?;
        let read_models = existing_database::read_models(settings).await?;
        let log = platform::event_log_of(settings, stored).await?;
        let rows = DroppedRows::open(&platform::database_url(&settings.storage, Schema::ReadModels)?).await?;
        let mut ended = Ended::before(self.ended_before, &*log.opened, &read_models);
        // This comes before the command is recorded, so that the record says what it is about to drop.
        let (excerpt, plan) = plan::prepare(export, &*log.stored, &mut ended, &read_models).await?;
        let command = DropCommand {
            ended_before: self.ended_before,
            exported: excerpt.as_ref().map(|excerpt| ExportedPayloads {
                payloads: excerpt.end().events,
                root: excerpt.end().root.to_string(),
            }),
        }
        .to_string();
        let act = async |_| {
            plan.tell(Some(export));
            let Some(mut excerpt) = excerpt else {
                output::say("nothing has ended by then that is not dropped already");
                return Ok(Conclusion::succeeded().with_result("nothing to drop"));
            };
            let mut dropped = 0;
            let all = drop_exported(&mut excerpt, &*log.stored, &mut ended, &rows, &mut dropped).await;
            let End { events, root, .. } = excerpt.end();
            let mut result = format!(
                "dropped {} of {events} that are in an export with the root {root}",
                output::counted(dropped, "payload")
            );
            let before = plan.dropped_before(*events);
            if before > 0 {
                result += &format!("; {before} had been dropped before");
            }
            output::say(&result);
            if let Err(error) = all {
                crate::complain(&format!("{error:#}: to go on, give this command again"));
                return Ok(Conclusion::failed().with_result(result));
            }
            // A failure to shrink the file does not make the command fail, since the payloads have been dropped.
            match make_smaller(&settings.storage).await {
                Ok(true) => {}
                Ok(false) => output::say(AS_LARGE),
                Err(error) => output::say(&format!("{AS_LARGE}; now: {error:#}")),
            }
            Ok(Conclusion::succeeded().with_result(result))
        };
        let attribution = &self.attribution;
        let code = attribution.record(settings, &*log.opened, &command, act).await;
        rows.close().await;
        code
    }
}

/// Drops the payloads of the events in the file that need not wait, and adds to `dropped` how many of them were still
/// in the log.
async fn drop_exported(
    excerpt: &mut Excerpt,
    store: &dyn EventStore,
    ended: &mut Ended<'_>,
    rows: &DroppedRows,
    dropped: &mut u64,
) -> anyhow::Result<()> {
    let events = excerpt.end().events;
    let (mut display, mut done) = (ProgressDisplay::new(), 0);
    // The file is read backwards, so that no readable event ever follows a dropped one in a stream.
    while let Some(part) = excerpt.previous_part()? {
        done += part.len() as u64;
        let (mut going, mut without_rows) = (Vec::new(), BTreeSet::new());
        let of_part: Vec<_> = part.iter().map(|event| (&*event.stream, event.version)).collect();
        let decisions = ended.decisions(&of_part).await?;
        for (event, decision) in part.into_iter().zip(decisions) {
            if let DropDecision::Goes { is_whole_stream } = decision {
                if is_whole_stream {
                    without_rows.insert(StreamName::raw(&*event.stream));
                }
                going.push(event);
            }
        }
        *dropped += store.drop_payloads(&going).await?;
        // The rows are deleted last, since a comparison expects a row as long as its events are readable.
        rows.delete(without_rows.iter()).await?;
        display.show(0, done, events);
    }
    display.end();
    Ok(())
}

/// Compacts the file of the log, if it is in SQLite. Returns false if that is still to be done, since a system is
/// using the file.
async fn make_smaller(storage: &Storage) -> anyhow::Result<bool> {
    if !platform::database_url(storage, Schema::EventStore)?.starts_with("sqlite:") {
        return Ok(true);
    }
    let database = platform::database(storage, Schema::EventStore).await?;
    match data_dir::lock(&storage.data_dir) {
        Ok(_lock) => Ok(database.forget_deleted().await?),
        Err(_) => Ok(false),
    }
}
