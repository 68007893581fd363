//! The values of a task as texts in files.

use events::{Due, Priority, Status};

/// Parses the name of a status or a priority, in any case.
fn one_of<T: serde::de::DeserializeOwned>(text: &str, names: &str) -> Result<T, String> {
    let name = text.trim().to_lowercase().replace(['-', ' '], "_");
    serde_json::from_value(serde_json::Value::String(name))
        .map_err(|_| format!("`{text}` is none of {names}"))
}

pub(crate) fn status(text: &str) -> Result<Status, String> {
    one_of(text, "open, in_progress, done, cancelled")
}

pub(crate) fn priority(text: &str) -> Result<Priority, String> {
    one_of(text, "low, normal, high, urgent")
}

pub(crate) fn due(text: &str) -> Result<Due, String> {
    text.trim().parse().map_err(|error: events::ParseDueError| format!("`{text}`: {error}"))
}

/// The name of a status or a priority in JSON.
pub(crate) fn name(value: impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}
