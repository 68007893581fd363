//! Finds out what a run has to do in one pass through the log, which a dry run and a real run share.

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, ErrorKind, Write},
    path::{Path, PathBuf},
};

use ::events::{EventDigest, StoredEvent};
use anyhow::{Context, bail, ensure};
use database::Database;
use event_store::{EventStore, MissingPositions, StoredEvents, describe_gap};
use log_transfer::{Excerpt, ExcerptWriter, ReadError, Reader};
use runtime::private_files;

use super::ended::{DropDecision, Ended};
use crate::{output, progress::ProgressDisplay};

/// Number of events that are decided about together.
const PART: usize = 500;

/// The payloads to drop and those to keep.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Number of payloads that may be dropped and are not in the file yet, and their bytes.
    pub(super) new: u64,
    pub(super) new_bytes: u64,
    /// Number of payloads that are in the file and still in the log.
    pub(super) left: u64,
    /// Number of payloads that have to wait, since events of their streams are parked or cannot be read: those not in
    /// the file yet, and those in the file.
    waiting: u64,
    exported_waiting: u64,
    /// The position of the last event that is old enough.
    to: u64,
}

impl Plan {
    /// Reads the log once. Events whose payloads may be dropped and that are not in `exported` are written to `out`.
    async fn make<W: Write>(
        stored: &dyn EventStore,
        ended: &mut Ended<'_>,
        exported: Option<&mut Excerpt>,
        out: &mut ExcerptWriter<W>,
    ) -> anyhow::Result<Self> {
        let head = stored.head().await?;
        let mut exported = Exported::of(exported)?;
        let mut gaps = MissingPositions::after(stored, 0);
        let mut log = StoredEvents::new(stored, 0, i64::try_from(head)?);
        let mut display = ProgressDisplay::new();
        let mut plan = Self::default();
        let mut part: Vec<(StoredEvent, bool)> = Vec::new();
        while let Some(event) = log.next().await? {
            let position = u64::try_from(event.position).unwrap_or_default();
            if let Some(gap) = gaps.before(position) {
                bail!(describe_gap(&gap));
            }
            if position.is_multiple_of(1_000) || position == head {
                display.show(0, position, head);
            }
            let is_exported = exported.has(&event)?;
            let is_whole = event.data.whole().is_some();
            if event.recorded_at < ended.before.as_micros() {
                plan.to = position;
            } else if !is_exported {
                continue;
            }
            if !is_exported && !is_whole {
                continue;
            }
            part.push((event, is_exported));
            if part.len() == PART {
                plan.add(std::mem::take(&mut part), ended, out).await?;
            }
        }
        plan.add(part, ended, out).await?;
        display.end();
        exported.end()?;
        Ok(plan)
    }

    /// Decides about events that are old enough, and finds out whether each is in the file.
    async fn add<W: Write>(
        &mut self,
        part: Vec<(StoredEvent, bool)>,
        ended: &mut Ended<'_>,
        out: &mut ExcerptWriter<W>,
    ) -> anyhow::Result<()> {
        let of_part: Vec<_> = part.iter().map(|(event, _)| (&*event.stream, event.version)).collect();
        let decisions = ended.decisions(&of_part).await?;
        for ((event, is_exported), decision) in part.iter().zip(decisions) {
            let is_whole = event.data.whole().is_some();
            match decision {
                DropDecision::Stays if *is_exported => bail!(
                    "version {} of the stream {} is in the file and is still needed: the file is of a run with a later \
                     --ended-before, or another export",
                    event.version,
                    event.stream
                ),
                DropDecision::Waits if *is_exported => self.exported_waiting += u64::from(is_whole),
                DropDecision::Waits => self.waiting += 1,
                DropDecision::Goes { .. } if *is_exported => self.left += u64::from(is_whole),
                DropDecision::Goes { .. } => {
                    out.write(event)?;
                    self.new += 1;
                    self.new_bytes += event.data.size() as u64;
                }
                DropDecision::Stays => {}
            }
        }
        Ok(())
    }

    /// Number of the `exported` payloads that had been dropped before.
    pub(super) const fn dropped_before(&self, exported: u64) -> u64 {
        exported - self.left - self.exported_waiting
    }

    /// Fails unless every stream that ends has been projected to its end.
    async fn require_projected(&self, read_models: &Database) -> anyhow::Result<()> {
        let (reached, to) = (projector::completed(read_models).await?, self.to);
        ensure!(
            reached >= to,
            "the read models are at position {reached}, and need the events up to {to}: start the system, and try again later"
        );
        Ok(())
    }

    /// Prints what remains to be done.
    pub(super) fn tell(&self, export: Option<&Path>) {
        let waiting = self.waiting + self.exported_waiting;
        if waiting > 0 {
            output::say(&format!(
                "LEFT OUT: {} of streams with events that are parked or cannot be read. When that is settled, give this command again",
                output::counted(waiting, "payload")
            ));
        }
        if let Some(export) = export
            && self.new > 0
        {
            output::say(&format!(
                "LEFT OUT: {} of what has ended by then and is not in {}, which is of an earlier run. To drop them, too, give this \
                 command again with another file",
                output::counted(self.new, "payload"),
                export.display()
            ));
        }
    }
}

/// Compares the events of a file with those of the log, both in order of position.
struct Exported<'a> {
    reader: Option<Reader<BufReader<&'a mut File>>>,
    next: Option<EventDigest>,
}

impl<'a> Exported<'a> {
    fn of(file: Option<&'a mut Excerpt>) -> Result<Self, ReadError> {
        let mut reader = file.map(Excerpt::reader).transpose()?;
        let next = next_of(reader.as_mut())?;
        Ok(Self { reader, next })
    }

    /// Returns whether the file contains `event`, the next one of the log.
    fn has(&mut self, event: &StoredEvent) -> anyhow::Result<bool> {
        let Some(next) = self.next.take_if(|next| next.position <= event.position) else {
            return Ok(false);
        };
        ensure!(next == event.digest(), another(&next));
        self.next = next_of(self.reader.as_mut())?;
        Ok(true)
    }

    /// Fails if the file has events after the end of the log.
    fn end(self) -> anyhow::Result<()> {
        self.next.map_or(Ok(()), |next| bail!(another(&next)))
    }
}

fn next_of(reader: Option<&mut Reader<BufReader<&mut File>>>) -> Result<Option<EventDigest>, ReadError> {
    let Some(reader) = reader else { return Ok(None) };
    Ok(reader.next_event()?.map(|event| event.event))
}

fn another(event: &EventDigest) -> String {
    format!(
        "the log does not have its event at position {}, so that this is the export of another log",
        event.position
    )
}

/// Makes the plan without writing anything. If `export` exists from an earlier run, it is opened.
pub(super) async fn look(
    export: Option<&Path>,
    stored: &dyn EventStore,
    ended: &mut Ended<'_>,
    read_models: &Database,
) -> anyhow::Result<(Option<Excerpt>, Plan)> {
    let mut excerpt = export.map(open).transpose()?.flatten();
    if let (Some(export), None) = (export, &excerpt) {
        free_partial(export)?;
    }
    let mut nowhere = ExcerptWriter::new(io::sink());
    let plan = Plan::make(stored, ended, excerpt.as_mut(), &mut nowhere).await?;
    plan.require_projected(read_models).await?;
    Ok((excerpt, plan))
}

/// Does what [`look`] does, and writes the file if it does not exist. There is no file if nothing is to be dropped.
pub(super) async fn prepare(
    export: &Path,
    stored: &dyn EventStore,
    ended: &mut Ended<'_>,
    read_models: &Database,
) -> anyhow::Result<(Option<Excerpt>, Plan)> {
    if fs::symlink_metadata(export).is_ok() {
        return look(Some(export), stored, ended, read_models).await;
    }
    let written = write(export, stored, ended, read_models).await?;
    let plan = Plan { left: written.new, new: 0, ..written };
    Ok((open(export)?, plan))
}

/// Opens and checks the file of an earlier run; `None` when there is none.
fn open(export: &Path) -> anyhow::Result<Option<Excerpt>> {
    match fs::symlink_metadata(export) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Ok(found) if found.is_symlink() && !export.exists() => {
            bail!("{} is a link that leads nowhere: name another file", export.display())
        }
        _ => {}
    }
    let in_file = || export.display().to_string();
    let file = File::open(export).with_context(in_file)?;
    private_files::require(export)?;
    match Excerpt::open(file) {
        Err(ReadError::Unfinished { .. }) => bail!(
            "{} is no whole export, and this command gives a file its name only when it is whole: name another file",
            export.display()
        ),
        opened => Ok(Some(opened.with_context(in_file)?)),
    }
}

/// The name under which the file is written until it is complete. It must not exist yet.
fn free_partial(export: &Path) -> anyhow::Result<PathBuf> {
    let partial = export.with_added_extension("partial");
    ensure!(
        fs::symlink_metadata(&partial).is_err(),
        "{} is there already: if it was left by a run of this command that was broken off, delete it, otherwise name another file",
        partial.display()
    );
    Ok(partial)
}

/// Writes the events whose payloads may be dropped to a file that only its owner can read. The file is complete and
/// synced, or it does not exist.
async fn write(
    export: &Path,
    stored: &dyn EventStore,
    ended: &mut Ended<'_>,
    read_models: &Database,
) -> anyhow::Result<Plan> {
    let partial = free_partial(export)?;
    let here = || format!("cannot write {}", partial.display());
    private_files::write_new(&partial, &[]).with_context(here)?;
    let written = async {
        let file = File::options().write(true).open(&partial).with_context(here)?;
        let mut out = ExcerptWriter::new(BufWriter::new(file));
        let plan = Plan::make(stored, ended, None, &mut out).await?;
        plan.require_projected(read_models).await?;
        let (_, out) = out.finish().with_context(here)?;
        let file = out.into_inner().map_err(io::IntoInnerError::into_error);
        file.and_then(|file| file.sync_all()).with_context(here)?;
        anyhow::Ok(plan)
    }
    .await;
    match written {
        Ok(plan) if plan.new > 0 => {
            fs::rename(&partial, export).with_context(here)?;
            private_files::sync_directory_of(export).with_context(here)?;
            Ok(plan)
        }
        written => {
            fs::remove_file(&partial).with_context(here)?;
            written
        }
    }
}
