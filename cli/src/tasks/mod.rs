//! A person's own tasks into a file and out of one, over HTTP as anybody: with the rights and limits of the token.

mod api_client;
mod export;
mod import;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};
use url::Url;

use self::api_client::ApiClient;
use crate::settings::{Settings, secret};

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

/// Whose tasks, and where.
#[derive(Debug, Args)]
struct Account {
    /// Where the API is
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: Url,
    /// An access token, or a token for programs with the scopes that it takes (tasks:read, tasks:write)
    #[arg(long, env = "TASKLEDGER_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// File with the token
    #[arg(long, env = "TASKLEDGER_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// An array of tasks as the API shows them
    Json,
    /// For spreadsheets
    Csv,
    /// iCalendar, with a VTODO for each task
    Ical,
}

pub(crate) async fn run(settings: &Settings, command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Export(export) => export.run(settings).await,
        Command::Import(import) => import.run(settings).await,
    }
}

impl Account {
    fn api(&self, settings: &Settings) -> anyhow::Result<ApiClient> {
        let token = secret("TASKLEDGER_TOKEN", self.token.as_ref(), self.token_file.as_ref())?;
        let token = token
            .context("whose tasks? Set TASKLEDGER_TOKEN, or name a file with a token by --token-file")?;
        ApiClient::new(&self.url, &token, settings)
    }
}

impl Format {
    /// The one that was asked for, or the one of a file's name.
    fn of(wanted: Option<Self>, path: Option<&Path>) -> anyhow::Result<task_files::Format> {
        let ending = path
            .and_then(Path::extension)
            .map(|ending| ending.to_ascii_lowercase());
        let by_name = match ending.as_ref().and_then(|ending| ending.to_str()) {
            Some("json") => Some(Self::Json),
            Some("csv" | "tsv") => Some(Self::Csv),
            Some("ics" | "ical" | "ifb") => Some(Self::Ical),
            _ => None,
        };
        match wanted.or(by_name) {
            Some(Self::Csv) => Ok(task_files::Format::Csv),
            Some(Self::Ical) => Ok(task_files::Format::Ical),
            Some(Self::Json) => Ok(task_files::Format::Json),
            None if path.is_none() => Ok(task_files::Format::Json),
            None => bail!("which format? Say --format, or name the file .json, .csv or .ics"),
        }
    }
}
