//! The endpoints of the query API: one file for each query, with its request, its handler and its tests.

pub(crate) mod audit;
pub(crate) mod audit_events;
mod consistency;
pub(crate) mod get_task;
pub(crate) mod list_tasks;
mod tagged;
pub(crate) mod task_changes;
pub(crate) mod task_events;
pub(crate) mod task_history;
pub(crate) mod task_summary;

use std::fmt::Display;

use http::HeaderValue;
use serde::Serialize;

/// The usual size of a task in bytes. A buffer that grows from nothing is copied ten times.
const TASK_BYTES: usize = 512;
/// The most items on a page.
const MAX_LIMIT: u16 = 100;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

fn json(page: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut json = Vec::with_capacity(32 * TASK_BYTES);
    serde_json::to_writer(&mut json, page)?;
    Ok(json)
}

/// Why an instant in a query cannot be read. In a query `+` means a space.
fn bad_instant(text: &str, error: &impl Display) -> String {
    match text.contains(' ') {
        true => format!("{error}; in a query the `+` of an offset must be written as %2B"),
        false => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
