//! Shows the log, counts its events, exports and imports it, and drops payloads of streams that ended long ago.

mod drop;
mod export;
mod import;
mod page;
mod show;
mod stats;
mod tail;

use std::process::ExitCode;

use clap::Subcommand;

use crate::{existing_log, settings::Settings};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the last events of the log, one a line, and with --follow those that come
    Tail(tail::Tail),
    /// Show one event, or all of a stream, with what they say
    Show {
        /// A position in the log, or the name of a stream: task-UUID, account-UUID, session-UUID, email-HMAC
        what: String,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Export the log to a file, which another store can import and auditors can check
    ///
    /// The file contains everything in the log, including hashes of passwords, so protect it as you protect the log.
    /// Personal data stays sealed, and the keys of people are not part of the file. May run beside a running system:
    /// run it again to add the events that were appended since.
    Export(export::Export),
    /// Import an export into the configured log, which must be empty or begin with the same events
    ///
    /// Stop the system first. Everything is checked before anything is written. If it is interrupted, run it again to
    /// continue. Ids, versions, times and order stay the same, and positions where the store can keep them. Personal
    /// data in clear is sealed, and people whom the log has erased stay erased.
    Import(import::Import),
    /// Drop payloads of what ended long ago from the log, after writing them to a file
    ///
    /// This is about sessions that have ended or expired, tasks that were purged from the trash, and erased people.
    /// The events stay with the hash of each payload, so every proof and every checkpoint stays valid. May run beside
    /// a running system. If it is interrupted, run it again with the same file to continue.
    Drop(drop::Drop),
    /// Count the events of each type and the streams of each kind
    Stats {
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
}

pub(crate) async fn run(settings: &Settings, command: Command) -> anyhow::Result<ExitCode> {
    let to_show = || existing_log::event_store_to_show(settings);
    match command {
        Command::Tail(tail) => tail.run(settings, &*to_show().await?).await?,
        Command::Show { what, json } => show::show(&*to_show().await?, &what, json).await?,
        Command::Stats { json } => stats::stats(&*to_show().await?, json).await?,
        Command::Export(export) => return export.run(settings).await,
        Command::Import(import) => return import.run(settings).await,
        Command::Drop(drop) => return drop.run(settings).await,
    }
    Ok(ExitCode::SUCCESS)
}
