//! `taskledger restore check`: finds and repairs data that disagrees with the log, after the log was restored from a
//! backup, or a standby without its last events was promoted.

mod findings;
mod missing;
mod repair;
mod report;

use std::process::ExitCode;

use clap::Subcommand;
use findings::{Findings, Stores};
use repair::{Repair, repair};
use report::Report;

use crate::{existing_log, lost_log, operation::Attribution, output, settings::Settings};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Compare with the log whatever was derived from it; exit code 1 if something disagrees
    ///
    /// Compares the checkpoints of the read models, decisions about parked events, the relay's progress, the audit tree
    /// and the keys of people, and looks for the keys of auth and of the audit tree. Keys may be damaged or lost; a
    /// backup of the keys may have keys of people whom the log has erased since; and a backup of the log may have
    /// people whose key was destroyed when they were erased. May run while the system is stopped or at work. Messages
    /// in queues, answers kept for idempotency keys and tokens of clients need no check, since whoever uses them asks
    /// the log first.
    Check {
        /// Repair what disagrees: empty the read models, which are projected again; destroy keys of erased people
        /// again; erase people without a key again; forget the rest
        #[arg(long)]
        repair: bool,
        /// One JSON object
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        attribution: Attribution,
    },
}

pub(crate) async fn run(settings: &Settings, command: Command) -> anyhow::Result<ExitCode> {
    let Command::Check { repair, json, attribution } = command;
    let store = existing_log::event_store(settings).await?;
    let stores = match repair {
        true => {
            // What shows that the log is lost must stay, and may be the last copy of what was in it.
            lost_log::refuse_if_lost(settings, Some(&*store)).await?;
            Stores::open(settings, store).await?
        }
        false => Stores::existing(settings, store).await?,
    };
    let findings = stores.compare(settings).await?;
    let repair = match repair && !findings.agree() {
        true => Some(recorded_repair(settings, &attribution, &stores, &findings).await?),
        false => None,
    };
    let report = Report { settings, findings: &findings, repair: repair.as_ref() };
    match json {
        true => output::json(&report.as_json())?,
        false => report.write_lines()?,
    }
    Ok(match repair {
        _ if findings.agree() => ExitCode::SUCCESS,
        Some(repair) if !repair.is_partial => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

async fn recorded_repair(
    settings: &Settings,
    attribution: &Attribution,
    stores: &Stores,
    findings: &Findings,
) -> anyhow::Result<Repair> {
    let mut done = Repair::default();
    let act = async |operation| {
        done = repair(settings, stores, findings, operation).await;
        Ok(done.conclusion(findings.head))
    };
    attribution.record(settings, &*stores.store, "restore check --repair", act).await?;
    Ok(done)
}
