//! Exports and imports a person's own tasks over HTTP, with the rights and limits of a token.

mod account;
mod api_client;
mod export;
mod format;
mod import;

use std::process::ExitCode;

use clap::Subcommand;

use crate::settings::Settings;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write all tasks of a person, but for those in the trash, as JSON, CSV or iCalendar
    Export(export::Export),
    /// Create a task for each in a JSON, CSV or iCalendar file
    ///
    /// The whole file is read first. If anything in it cannot become a task, each such place is named with its line, and nothing is
    /// created. The same file again within a day creates nothing twice, and goes on where it was broken off; a file that was
    /// changed is another one.
    Import(import::Import),
}

pub(crate) async fn run(settings: &Settings, command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Export(export) => export.run(settings).await,
        Command::Import(import) => import.run(settings).await,
    }
}
