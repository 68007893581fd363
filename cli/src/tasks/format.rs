//! How a file of tasks is written, as it was asked for or as its name says.

use std::path::Path;

use anyhow::bail;
use clap::ValueEnum;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// An array of tasks as the API shows them
    Json,
    /// For spreadsheets
    Csv,
    /// iCalendar, with a VTODO for each task
    Ical,
}

impl Format {
    /// The one that was asked for, or the one of a file's name.
    pub(super) fn of(wanted: Option<Self>, path: Option<&Path>) -> anyhow::Result<task_files::Format> {
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
