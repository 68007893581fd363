//! The format of a file of tasks, as requested or as the file's extension says.

use std::path::Path;

use anyhow::bail;
use clap::ValueEnum;

/// The format of a file of tasks.
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
    /// Returns the requested format, or the one that the file's extension says.
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
