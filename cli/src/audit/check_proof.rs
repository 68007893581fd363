//! Checks the proof of one event with the public key only.

use std::{path::PathBuf, process::ExitCode};

use ::events::{EventDigest, Timestamp};
use anyhow::{Context, bail};
use clap::Args;
use log_transfer::ExportedEvent;
use transparency_log::{InclusionProof, VerifierKey, entry_hash, leaf_hash};

use super::input::read;
use crate::output;

const WITHHELD: &str =
    "withheld: its payload, which holds a secret; what the line shows of it is covered by no hash";
const DROPPED: &str = "dropped: its payload, of which the log has kept only the hash";

#[derive(Debug, Args)]
pub(crate) struct CheckProof {
    /// File with the proof; `-` for the standard input
    proof: PathBuf,
    /// File with the event, a line of an export; a receipt has in itself what the log says of its event
    #[arg(long, value_name = "FILE")]
    event: Option<PathBuf>,
    /// Public key of the log, as `taskledger audit key` shows it; several times if there are several
    #[arg(long, required = true, value_name = "KEY")]
    key: Vec<VerifierKey>,
}

impl CheckProof {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let proof: InclusionProof = read(&self.proof)?.parse()?;
        let (event, missing) = match (&self.event, &proof.extra) {
            (Some(file), _) => {
                let exported = ExportedEvent::parse(read(file)?.trim_end()).context("the event")?;
                let missing = match (exported.is_withheld(), exported.data_dropped) {
                    (true, _) => Some(WITHHELD),
                    (_, true) => Some(DROPPED),
                    _ => None,
                };
                (exported.event, missing)
            }
            (None, Some(extra)) => {
                let event: EventDigest = serde_json::from_slice(extra).context("the event in the receipt")?;
                (event, None)
            }
            (None, None) => bail!("the proof is no receipt: say with --event of which event it is"),
        };
        match proof.verify(leaf_hash(&entry_hash(&event.canonical()).0), &self.key) {
            Ok(checkpoint) => {
                output::line(&format!(
                    "the log {} with {} events has this event, at position {}",
                    checkpoint.origin, checkpoint.size, event.position
                ))?;
                output::line(&format!(
                    "{} of {}, recorded at {}",
                    event.kind,
                    event.stream,
                    Timestamp::from_micros(event.recorded_at)
                ))?;
                if let Some(missing) = missing {
                    output::line(missing)?;
                }
                Ok(ExitCode::SUCCESS)
            }
            Err(error) => {
                output::line(&format!("NOT proved: {error}"))?;
                Ok(ExitCode::FAILURE)
            }
        }
    }
}
