//! The format of a file of tasks, as requested or as the file's extension says.

use std::path::Path;

use anyhow::bail;
use clap::builder::TypedValueParser;
use task_files::Format;

use crate::choice::one_of;

pub(super) fn parser() -> impl TypedValueParser<Value = Format> {
    one_of([
        ("json", "An array of tasks as the API shows them", Format::Json),
        ("csv", "For spreadsheets", Format::Csv),
        ("ical", "iCalendar, with a VTODO for each task", Format::Ical),
    ])
}

/// Returns the requested format, or the one that the file's extension says.
pub(super) fn of(wanted: Option<Format>, path: Option<&Path>) -> anyhow::Result<Format> {
    let ending = path.and_then(Path::extension).map(|ending| ending.to_ascii_lowercase());
    let by_name = match ending.as_ref().and_then(|ending| ending.to_str()) {
        Some("json") => Some(Format::Json),
        Some("csv" | "tsv") => Some(Format::Csv),
        Some("ics" | "ical" | "ifb") => Some(Format::Ical),
        _ => None,
    };
    match wanted.or(by_name) {
        Some(format) => Ok(format),
        None if path.is_none() => Ok(Format::Json),
        None => bail!("which format? Say --format, or name the file .json, .csv or .ics"),
    }
}
