//! Types for all formats of task files.

use std::collections::BTreeMap;

use events::{Due, Priority, Status};

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A JSON array of tasks as in the API, one a line.
    Json,
    /// Comma-separated values (RFC 4180) with a line of column names.
    Csv,
    /// iCalendar (RFC 5545) with a `VTODO` for each task.
    Ical,
}

/// A task in a file: the fields that a new task can get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileTask {
    /// What is to be done.
    pub title: String,
    /// More about it.
    pub description: Option<String>,
    /// The status.
    pub status: Status,
    /// The priority.
    pub priority: Priority,
    /// When it is due.
    pub due: Option<Due>,
    /// The tags of the task.
    pub tags: Vec<String>,
}

/// A task that was found in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The line that it begins on, from 1.
    pub line: u64,
    /// The task, or a sentence why it cannot be read.
    pub task: Result<FileTask, String>,
}

/// The content of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Content {
    /// Its tasks, in their order.
    pub tasks: Vec<Found>,
    /// Fields that tasks here cannot have, with the number of each.
    pub ignored: BTreeMap<String, u64>,
}

/// The file as a whole cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub(crate) String);
