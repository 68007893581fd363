//! Looking into the log: its end, one event or stream, and what there is of each type; moving it to another store; and dropping
//! what has ended long ago.

mod drop;
mod export;
mod import;
mod page;
mod show;
mod stats;
mod tail;

use std::process::ExitCode;

use clap::Subcommand;

use crate::{platform, settings::Settings};

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
    /// Write the log into a file that any other store takes in with `import`, and audits can check
    ///
    /// The file has everything that the log has, hashes of passwords among it: keep it as you keep the log. What is personal
    /// stays sealed; the keys of people are not in it. May run beside a system at work: run it again, and the file goes on with
    /// what the log has since.
    Export(export::Export),
    /// Bring an export into the log that is configured, which is empty or has the first of these events
    ///
    /// Stop the system first. Everything is checked before anything is written; broken off, it goes on where it was. Ids,
    /// versions, times and order stay, and positions where the store can keep them. What is personal and in clear in the export
    /// is sealed on the way, and the people whom the log has erased stay erased.
    Import(import::Import),
    /// Take the payloads out of the log of what ended long ago, once they are in a file
    ///
    /// Sessions that have ended or run out, tasks that were taken out of the trash for good, and everything of people who were
    /// erased. Their events stay, with the hash of each payload, so that every proof and every checkpoint still holds. May run
    /// beside a system at work; broken off, it goes on when it is given again with the same file.
    Drop(drop::Drop),
    /// Count the events of each type and the streams of each kind
    Stats {
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
}

pub(crate) async fn run(settings: &Settings, command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Drop(drop) => return drop.run(settings).await,
        Command::Export(export) => return export.run(settings).await,
        Command::Import(import) => return import.run(settings).await,
        command => look(settings, command).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn look(settings: &Settings, command: Command) -> anyhow::Result<()> {
    let store = platform::existing_opened_event_store(settings).await?;
    let store = store.as_ref();
    match command {
        Command::Tail(tail) => tail.run(store).await,
        Command::Show { what, json } => show::show(store, &what, json).await,
        Command::Stats { json } => stats::stats(store, json).await,
        Command::Drop(_) | Command::Export(_) | Command::Import(_) => Ok(()),
    }
}
