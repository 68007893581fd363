//! `taskledger events drop`: the payloads of what ended long ago out of the log, once they are in a file.

mod ended;

use std::{
    cell::Cell,
    fs::{self, File},
    io::{self, BufWriter},
    path::{Path, PathBuf},
    process::ExitCode,
};

use ::events::{StoredEvent, Timestamp, UserId};
use anyhow::{Context, ensure};
use clap::Args;
use database::{Schema, private};
use event_store::EventStore;
use log_transfer::{End, Excerpt, write_excerpt};
use projector::DroppedRows;

use self::ended::Ended;
use crate::{
    data_dir,
    operation::{Attribution, Conclusion},
    output, platform,
    progress::ProgressDisplay,
    settings::{Settings, Storage},
};

/// Nothing younger is dropped: a session runs out within a week, a request is remembered for a day, and clocks may differ.
const YOUNGEST_DAYS: i64 = 8;

const AS_LARGE: &str = "the file of the log is as large as before, and new events fill the room: to make it smaller, stop the \
    system and give this command again";

#[derive(Debug, Args)]
pub(crate) struct Drop {
    /// Drop what ended before this time, at least eight days ago, such as 2026-01-01T00:00:00Z
    #[arg(long, value_name = "TIME")]
    ended_before: Timestamp,
    /// File to write the events to before their payloads are dropped, readable for its owner alone; one that is there from a
    /// run that was broken off is gone on with
    #[arg(long, value_name = "FILE", required_unless_present = "dry_run")]
    export: Option<PathBuf>,
    /// Say what would be dropped, without changing anything
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    attribution: Attribution,
}

impl Drop {
    pub(super) async fn run(&self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let youngest = platform::clock()
            .now()
            .plus_seconds(-YOUNGEST_DAYS * 24 * 60 * 60);
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
        let stored = platform::existing_event_store(&settings.storage).await?;
        stored.drop_payloads(&[]).await?;
        let opened = platform::existing_opened_event_store(settings).await?;
        let read_models = platform::existing_read_models(&settings.storage).await?;
        let ended = Ended::find(&*opened, &read_models, self.ended_before).await?;
        let bytes = Cell::new(0);
        let wanted = |event: &StoredEvent| {
            let has = ended.has(event);
            bytes.set(bytes.get() + if has { event.data.size() as u64 } else { 0 });
            has
        };
        let end = excerpt_into(&mut io::sink(), &*stored, &ended, wanted).await?;
        output::line(&format!(
            "would drop the payloads of {}, {}; nothing was changed",
            output::counted(end.events, "event"),
            output::counted(bytes.get(), "byte"),
        ))?;
        Ok(ExitCode::SUCCESS)
    }

    async fn carry_out(&self, settings: &Settings, export: &Path) -> anyhow::Result<ExitCode> {
        // Where there is no log, none is made.
        let stored = platform::existing_event_store(&settings.storage).await?;
        stored.drop_payloads(&[]).await?;
        let read_models = platform::existing_read_models(&settings.storage).await?;
        let log = platform::event_log_of(settings, stored).await?;
        let rows = DroppedRows::open(&platform::database_url(&settings.storage, Schema::ReadModels)?).await?;
        let ended = Ended::find(&*log.opened, &read_models, self.ended_before).await?;
        let command = format!("events drop --ended-before {}", self.ended_before);
        let act = async |_| {
            if !export.exists() && !write(export, &*log.stored, &ended).await? {
                output::line("nothing has ended by then that is not dropped already")?;
                return Ok(Conclusion::succeeded().with_result("nothing to drop"));
            }
            let (dropped, end) = drop_exported(export, &*log.stored, &ended, &rows).await?;
            let dropped = output::counted(dropped, "payload");
            output::line(&format!(
                "dropped {dropped}: the export has {}, with the root {}, and the log none of their payloads",
                output::counted(end.events, "event"),
                end.root
            ))?;
            // What was dropped is what counts: its root has to be in the log, however large the file is.
            match make_smaller(&settings.storage).await {
                Ok(true) => {}
                Ok(false) => output::line(AS_LARGE)?,
                Err(error) => output::line(&format!("{AS_LARGE}; now: {error:#}"))?,
            }
            let result = format!(
                "dropped {dropped} that are in an export with the root {}",
                end.root
            );
            Ok(Conclusion::succeeded().with_result(result))
        };
        let attribution = &self.attribution;
        let code = attribution
            .record(&*log.opened, &command, UserId::NOBODY, act)
            .await;
        rows.close().await;
        code
    }
}

/// Writes the events of what has `ended` into the file, whole, durably and readable for its owner alone, or not at all. Returns
/// whether there are any.
async fn write(export: &Path, store: &dyn EventStore, ended: &Ended) -> anyhow::Result<bool> {
    let mut partial = export.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let here = || format!("cannot write {}", partial.display());
    private::file(&partial).with_context(here)?;
    let file = File::options()
        .write(true)
        .truncate(true)
        .open(&partial)
        .with_context(here)?;
    let mut out = BufWriter::new(file);
    let end = excerpt_into(&mut out, store, ended, |event| ended.has(event)).await?;
    if end.events == 0 {
        fs::remove_file(&partial).with_context(here)?;
        return Ok(false);
    }
    let file = out.into_inner().map_err(io::IntoInnerError::into_error);
    file.and_then(|file| file.sync_all()).with_context(here)?;
    fs::rename(&partial, export).with_context(here)?;
    let parent = export.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = File::open(parent.unwrap_or(Path::new("."))).with_context(here)?;
    directory.sync_all().with_context(here)?;
    Ok(true)
}

async fn excerpt_into(
    out: &mut impl io::Write,
    store: &dyn EventStore,
    ended: &Ended,
    wanted: impl Fn(&StoredEvent) -> bool,
) -> anyhow::Result<End> {
    let mut display = ProgressDisplay::new();
    let tell = |position| display.show(0, position, ended.to);
    let written = write_excerpt(store, ended.to, out, wanted, tell).await;
    display.end();
    Ok(written?)
}

/// Drops the payloads of the events in the file, which is read and checked as a whole before. Returns how many the log still had,
/// and the end of the file.
async fn drop_exported(
    export: &Path,
    store: &dyn EventStore,
    ended: &Ended,
    rows: &DroppedRows,
) -> anyhow::Result<(u64, End)> {
    let in_file = || export.display().to_string();
    let file = File::open(export).with_context(in_file)?;
    let mut excerpt = Excerpt::open(file, |event| ended.check(event)).with_context(in_file)?;
    let end = excerpt.end().clone();
    let (mut display, mut done, mut dropped) = (ProgressDisplay::new(), 0, 0);
    // From the end on, so that nothing readable ever follows what was dropped in a stream.
    while let Some(events) = excerpt.previous_part().with_context(in_file)? {
        rows.delete(&ended.without_rows(&events)).await?;
        dropped += store.drop_payloads(&events).await?;
        done += events.len() as u64;
        display.show(0, done, end.events);
    }
    display.end();
    Ok((dropped, end))
}

/// Writes the file of the log anew without what was dropped, if it is in SQLite. Returns whether it has only what it needs; not
/// while a system is at work on it.
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
