//! Verifies the log with the audit tree, or an export without a system.

use std::{
    fs,
    io::BufReader,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, anyhow};
use audit_tree::{AuditTree, KeptRecords, LastSigned, Verification};
use clap::Args;
use log_transfer::Reader;
use serde_json::json;
use transparency_log::{Checkpoint, CheckpointError, Note, VerifierKey, entry_hash};

use super::{
    input::{open, read},
    key,
    verify_export::verify_export,
};
use crate::{existing_database, existing_log, output, progress::ProgressDisplay, settings::Settings};

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
        let mut kept = KeptRecords::default();
        for path in &self.checkpoint {
            let checkpoint = checkpoint(path, &keys).with_context(|| path.display().to_string())?;
            kept.checkpoints.push(checkpoint);
        }
        for path in &self.dropped {
            add_entries(path, &mut kept).with_context(|| path.display().to_string())?;
        }
        let report = match &self.export {
            Some(export) => verify_export(export, kept)?,
            None => {
                let store = existing_log::event_store(settings).await?;
                let tree = existing_database::audit_tree(settings).await?;
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
        Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Adds the last checkpoint that was signed with the keys of this host, if there is one and the directory can be read.
async fn remember(kept: &mut KeptRecords, tree: &AuditTree, keys: &Path) -> anyhow::Result<()> {
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
    let error = match Checkpoint::open(&note, keys) {
        Ok(checkpoint) => return Ok(checkpoint),
        Err(error) => error,
    };
    let names = keys.iter().map(VerifierKey::name);
    match &error {
        CheckpointError::OtherOrigin { found, .. } if is_of_former_log(found, names) => Err(anyhow!(
            "{error}. Only what follows the name `{}` differs, as is expected of a checkpoint that was signed before \
             `taskledger restore check --repair` or `taskledger events import` began a tree of a new origin, which the audit \
             trail records: it stays valid for the log as it was before",
            name_of(found)
        )),
        _ => Err(error.into()),
    }
}

/// Whether only the last part of `origin` differs from one of `origins`, which is another one for each tree.
fn is_of_former_log<'a>(origin: &str, mut origins: impl Iterator<Item = &'a str>) -> bool {
    origins.any(|other| origin != other && name_of(origin) == name_of(other))
}

/// What an origin begins with, which is the setting `TASKLEDGER_AUDIT_ORIGIN`.
fn name_of(origin: &str) -> &str {
    origin.rsplit_once('/').map_or(origin, |(name, _)| name)
}

/// Adds the hashes of the events whose payloads are in the export in a file.
fn add_entries(path: &Path, kept: &mut KeptRecords) -> anyhow::Result<()> {
    let mut reader = Reader::new(BufReader::new(open(path)?));
    while let Some(event) = reader.next_event()? {
        if !event.data_dropped && !event.is_withheld() {
            kept.entries.insert(entry_hash(&event.event.canonical()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::is_of_former_log;

    #[test]
    fn an_origin_of_the_same_name_is_of_a_former_log() {
        let is_former = |origin, of_key| is_of_former_log(origin, std::iter::once(of_key));
        assert!(is_former("example.org/log/1a", "example.org/log/2b"));
        assert!(!is_former("example.org/log/1a", "example.org/other/2b"));
        assert!(!is_former("example.org/log/1a", "example.org/log/1a"));
        assert!(!is_former("example.org", "example.com"));
    }
}
