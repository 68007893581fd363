//! What files of tasks have in common, however they are written.

use std::collections::BTreeMap;

use events::{Due, Priority, Status};

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
    /// The tags of the task.
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
pub struct Unreadable(pub(crate) String);
