//! Tasks as files: JSON, CSV for spreadsheets, and iCalendar for calendars.
//!
//! Reading finds every task with the line that it begins on, and says of each that cannot be read why; writing is done a task at a
//! time. Pure: it must not be known here where files are, nor how tasks are fetched and created. What a title or a tag may
//! be is the command API's to say.

mod csv_file;
mod escaped_list;
mod ical;
mod ical_content_line;
mod json_file;
mod line_numbers;
#[cfg(test)]
mod round_trip_tests;
mod writer;

use std::collections::BTreeMap;

use events::{Due, Priority, Status};
pub use jiff::tz::TimeZone;

pub use csv_file::as_text as text_for_spreadsheets;
pub use writer::Writer;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A JSON array of tasks as the API shows them, one a line.
    Json,
    /// Comma-separated values (RFC 4180) with a line of column names.
    Csv,
    /// iCalendar (RFC 5545) with a `VTODO` for each task.
    Ical,
}

/// A task of a file: what can be given to a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileTask {
    /// What is to be done.
    pub title: String,
    /// More about it.
    pub description: Option<String>,
    /// Where it stands.
    pub status: Status,
    /// How urgent it is.
    pub priority: Priority,
    /// When it is due.
    pub due: Option<Due>,
    /// Its tags.
    pub tags: Vec<String>,
}

/// A place in a file where a task is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The line that it begins on, from 1.
    pub line: u64,
    /// The task, or in a sentence why it cannot be read.
    pub task: Result<FileTask, String>,
}

/// What a file has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Content {
    /// Its tasks, in their order.
    pub tasks: Vec<Found>,
    /// What else it says of tasks and no task here can have, each with how often.
    pub ignored: BTreeMap<String, u64>,
}

/// The file as a whole cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);

/// Reads the tasks of a file. Times without a zone of their own are of `zone`.
///
/// # Errors
/// When it is not a file of this format at all.
pub fn read(format: Format, bytes: &[u8], zone: &TimeZone) -> Result<Content, Unreadable> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match format {
        Format::Json => json_file::read(text(bytes)?),
        Format::Csv => csv_file::read(text(bytes)?),
        // Lines may be folded in the middle of a character.
        Format::Ical => ical::read(bytes, zone),
    }
}

fn text(bytes: &[u8]) -> Result<&str, Unreadable> {
    std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        Unreadable(format!(
            "line {line} is not UTF-8: save the file in that encoding"
        ))
    })
}

/// Reads the name of a status or a priority, however its letters are written.
fn one_of<T: serde::de::DeserializeOwned>(text: &str, names: &str) -> Result<T, String> {
    let name = text.trim().to_lowercase().replace(['-', ' '], "_");
    serde_json::from_value(serde_json::Value::String(name))
        .map_err(|_| format!("`{text}` is none of {names}"))
}

fn status(text: &str) -> Result<Status, String> {
    one_of(text, "open, in_progress, done, cancelled")
}

fn priority(text: &str) -> Result<Priority, String> {
    one_of(text, "low, normal, high, urgent")
}

fn due(text: &str) -> Result<Due, String> {
    text.trim()
        .parse()
        .map_err(|error: events::ParseDueError| format!("`{text}`: {error}"))
}

/// The name that JSON has for a status or a priority.
fn name(value: impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}
