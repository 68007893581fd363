//! Checking the proof of one event, with nothing but the public key.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use audit_tree::ExportedEvent;
use clap::Args;
use transparency_log::{InclusionProof, VerifierKey, entry_hash, leaf_hash};

use super::read;
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct CheckProof {
    /// File with the proof; `-` for the standard input
    proof: PathBuf,
    /// File with the event, a line of an export
    #[arg(long, value_name = "FILE")]
    event: PathBuf,
    /// Public key of the log, as `taskledger audit key` shows it; several times if there are several
    #[arg(long, required = true, value_name = "KEY")]
    key: Vec<VerifierKey>,
}

impl CheckProof {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let proof: InclusionProof = read(&self.proof)?.parse()?;
        let line = read(&self.event)?;
        let exported = ExportedEvent::parse(line.trim_end()).context("the event")?;
        let event = &exported.event;
        match proof.verify(leaf_hash(&entry_hash(&event.canonical()).0), &self.key) {
            Ok(checkpoint) => {
                output::line(&format!(
                    "the log {} with {} events has this event, at position {}",
                    checkpoint.origin, checkpoint.size, event.position
                ))?;
                if exported.is_withheld() {
                    output::line(
                        "withheld: its payload, which holds a secret; what the line shows of it is covered by no hash",
                    )?;
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
