//! Computing the whole tree again: from the log, or from an export without a system.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, ensure};
use audit_tree::{AuditTree, DroppedEvents, EventHeader, Kept, LastSigned, Verification};
use clap::Args;
use log_transfer::{Line, Reader};
use serde_json::json;
use transparency_log::{Checkpoint, Edge, Note, VerifierKey, entry_hash, leaf_hash};

use super::{input::read, key};
use crate::{output, platform, progress::ProgressDisplay, settings::Settings};

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// File with a checkpoint that was kept; several times for several
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// Public key of the log, as `taskledger audit key` shows it [default: those in the keys directory]
    #[arg(long, value_name = "KEY")]
    key: Vec<VerifierKey>,
    /// Public key of a witness whose cosignatures are counted
    #[arg(long, value_name = "KEY")]
    witness: Vec<VerifierKey>,
    /// File with an export of the log from its beginning on, to be checked without a system; `-` for the standard input
    #[arg(long, value_name = "FILE", requires = "key", requires = "checkpoint")]
    export: Option<PathBuf>,
    /// File with an export in which the payloads are that were dropped from the log since; several times for several
    #[arg(long, value_name = "FILE")]
    dropped: Vec<PathBuf>,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(super) async fn run(&self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let keys = match self.key.is_empty() {
            true => key::keys(settings).await?,
            false => self.key.clone(),
        };
        let mut kept = Kept::default();
        for path in &self.checkpoint {
            let checkpoint = checkpoint(path, &keys).with_context(|| path.display().to_string())?;
            kept.checkpoints.push(checkpoint);
        }
        for path in &self.dropped {
            add_entries(path, &mut kept).with_context(|| path.display().to_string())?;
        }
        let report = match &self.export {
            Some(export) => of_export(export, kept)?,
            None => {
                let store = platform::existing_event_store(&settings.storage).await?;
                let tree = platform::existing_audit_tree(&settings.storage).await?;
                remember(&mut kept, &tree, &settings.audit_keys_dir()).await?;
                let mut display = ProgressDisplay::new();
                let tell = |position, head| display.show(0, position, head);
                let report = audit_tree::verify(&store, &tree, &keys, &self.witness, &kept, tell).await;
                display.end();
                report?
            }
        };
        self.answer(&report)
    }

    fn answer(&self, report: &Verification) -> anyhow::Result<ExitCode> {
        let holds = report.differences.is_empty();
        if self.json {
            output::json(&json!({
                "holds": holds,
                "origin": report.origin,
                "events": report.events,
                "covered": report.size,
                "withheld": report.withheld,
                "dropped": report.dropped,
                "dropped_and_shown": report.shown,
                "checkpoints": report.checkpoints,
                "cosignatures": report.cosignatures,
                "first_difference": report.first_difference,
                "differences": report.differences,
            }))?;
        } else {
            for difference in &report.differences {
                output::line(difference)?;
            }
            output::line(&format!(
                "{}: {} of {}, of which the tree covers {}; {} and {} are right",
                if holds { "proved" } else { "NOT proved" },
                output::counted(report.events, "event"),
                report.origin,
                report.size,
                output::counted(report.checkpoints, "checkpoint"),
                output::counted(report.cosignatures, "cosignature"),
            ))?;
            if report.dropped > 0 {
                output::line(&format!(
                    "dropped: the payloads of {}, of which only the hashes were kept; {} of them are in the exports given with --dropped, as they were",
                    output::counted(report.dropped, "event"),
                    report.shown,
                ))?;
            }
            if report.withheld > 0 {
                output::line(&format!(
                    "withheld: the payloads of {}, which hold secrets; what the export shows of them is covered by no hash",
                    output::counted(report.withheld, "event"),
                ))?;
            }
        }
        Ok(if holds {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

/// Adds what was signed last with the keys that are here, if that is remembered and may be read.
async fn remember(kept: &mut Kept, tree: &AuditTree, keys: &Path) -> anyhow::Result<()> {
    let Some(tree) = tree.newest().await?.filter(|_| fs::read_dir(keys).is_ok()) else {
        return Ok(());
    };
    let memory = LastSigned::new(keys);
    kept.remembered = memory.checkpoint(&tree.origin)?;
    if kept.remembered.is_none() {
        kept.signed_before = memory.any_origin()?;
    }
    Ok(())
}

/// The checkpoint in a file, signed by one of `keys`.
fn checkpoint(path: &Path, keys: &[VerifierKey]) -> anyhow::Result<Checkpoint> {
    let note: Note = read(path)?.parse()?;
    Ok(Checkpoint::open(&note, keys)?)
}

/// Adds the entries of the events whose payloads the export in a file shows.
fn add_entries(path: &Path, kept: &mut Kept) -> anyhow::Result<()> {
    let mut reader = Reader::new(BufReader::new(open(path)?));
    while let Some(event) = reader.next_event()? {
        if !event.data_dropped && !event.is_withheld() {
            kept.entries.insert(entry_hash(&event.event.canonical()));
        }
    }
    Ok(())
}

fn open(path: &Path) -> anyhow::Result<File> {
    File::open(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Hashes the lines of an export and compares with the checkpoints. Every line says its position, so that the first one that
/// is missing or in another place is named; which of them was changed, only the checkpoints around it tell.
fn of_export(path: &Path, kept: Kept) -> anyhow::Result<Verification> {
    let Kept {
        checkpoints: mut kept,
        entries,
        ..
    } = kept;
    ensure!(
        kept.iter().all(|it| it.origin == kept[0].origin),
        "the checkpoints are of several logs"
    );
    kept.sort_by_key(|checkpoint| checkpoint.size);
    let mut report = Verification {
        origin: kept[0].origin.clone(),
        ..Verification::default()
    };
    let reader: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(BufReader::new(open(path)?))
    };
    let (mut edge, mut last_right, mut before, mut jump) = (Edge::default(), 0, None, None);
    let mut dropped = DroppedEvents::default();
    let mut next = kept.iter().peekable();
    let mut compare = |edge: &Edge, report: &mut Verification| {
        while let Some(checkpoint) = next.next_if(|checkpoint| checkpoint.size == edge.size()) {
            if checkpoint.root == edge.root() {
                (report.checkpoints, report.size, last_right) =
                    (report.checkpoints + 1, edge.size(), edge.size());
            } else {
                report.differences.push(format!(
                    "the export is not the log of the checkpoint of {} events; the last one that fits has {last_right}",
                    checkpoint.size
                ));
            }
        }
    };
    compare(&edge, &mut report);
    for (number, line) in (1_u64..).zip(reader.lines()) {
        let line = line.context("cannot read the export")?;
        let position = match Line::parse(&line) {
            // It says no more than the checkpoints, and nobody has signed it.
            Ok(Line::End(_)) => continue,
            Ok(Line::Event(exported)) => {
                let entry = entry_hash(&exported.event.canonical());
                edge.extend([leaf_hash(&entry.0)]);
                report.withheld += u64::from(exported.is_withheld());
                report.dropped += u64::from(exported.data_dropped);
                report.shown += u64::from(exported.data_dropped && entries.contains(&entry));
                let position = exported.event.position;
                if let Some(stored) = exported.stored() {
                    dropped.push(&EventHeader::of(&stored));
                }
                position
            }
            Err(error) => {
                differs(&mut report, None, format!("line {number}: {error}"));
                break;
            }
        };
        report.events += 1;
        if before.is_some_and(|before| position <= before) || position < 1 {
            differs(
                &mut report,
                Some(position),
                format!("line {number}: the event at position {position} is not in order"),
            );
        }
        if jump.is_none() && before.map_or(1, |before| before + 1) != position {
            jump = Some(before.map_or(1, |before| before + 1));
        }
        before = Some(position);
        compare(&edge, &mut report);
    }
    if let Some(missing) = kept.iter().find(|checkpoint| checkpoint.size > report.events) {
        let what = format!(
            "the export has {} events, the checkpoint {}",
            report.events, missing.size
        );
        report.differences.push(what);
    }
    if let Some(jump) = jump.filter(|_| !report.differences.is_empty() && report.first_difference.is_none()) {
        // In KurrentDB positions always jump.
        differs(
            &mut report,
            Some(jump),
            format!("no event stands at position {jump}"),
        );
    }
    // An export may end before the log does, and so before what ended a stream.
    report.add_dropped(dropped, false);
    Ok(report)
}

fn differs(report: &mut Verification, position: Option<i64>, what: String) {
    report.first_difference = report.first_difference.or(position);
    if report.differences.len() < 10 {
        report.differences.push(what);
    }
}
