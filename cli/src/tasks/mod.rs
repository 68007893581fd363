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
    /// Export all tasks of a person except those in the trash, as JSON, CSV or iCalendar
    Export(export::Export),
    /// Create a task for each in a JSON, CSV or iCalendar file
    ///
    /// The whole file is read first. If an entry cannot become a task, its line is reported and nothing is created.
    /// Importing the same file again within a day creates nothing twice and continues an interrupted import, unless
    /// `--again` asks for it; a changed file counts as another one.
    Import(import::Import),
}

pub(crate) async fn run(settings: &Settings, command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Export(export) => export.run(settings).await,
        Command::Import(import) => import.run(settings).await,
    }
}
