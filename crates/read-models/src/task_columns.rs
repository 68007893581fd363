//! The encoded columns of `tasks`. An error names the column, and never repeats texts of people.

use database::DatabaseError;
use events::{Due, Priority, Status};
use serde_json::value::RawValue;

use crate::unexpected;

/// The state that the column `status` names.
///
/// # Errors
/// When there is none of this name.
pub fn status(name: &str) -> Result<Status, DatabaseError> {
    Status::named(name).ok_or_else(|| unexpected("status", name))
}

/// The priority whose rank the column `priority` holds.
///
/// # Errors
/// When there is none of this rank.
pub fn priority(rank: i64) -> Result<Priority, DatabaseError> {
    Priority::ranked(rank).ok_or_else(|| unexpected("priority", rank))
}

/// When a task is due, from the column `due`.
///
/// # Errors
/// When it holds something else.
pub fn due(text: &str) -> Result<Due, DatabaseError> {
    text.parse().map_err(|_| unexpected("due", text))
}

/// The column `tags` for `tags`: a JSON array.
pub fn tags_json(tags: &[String]) -> String {
    serde_json::Value::from(tags).to_string()
}

/// The tags that the column `tags` holds.
///
/// # Errors
/// When it holds something else.
pub fn tags(json: &str) -> Result<Vec<String>, DatabaseError> {
    serde_json::from_str(json).map_err(|_| no_tags())
}

/// The column `tags` as JSON text, without decoding it.
///
/// # Errors
/// When it holds no array.
pub fn raw_tags(json: &str) -> Result<&RawValue, DatabaseError> {
    serde_json::from_str::<&RawValue>(json)
        .ok()
        .filter(|tags| tags.get().starts_with('['))
        .ok_or_else(no_tags)
}

fn no_tags() -> DatabaseError {
    DatabaseError::Unexpected("column tags holds no list of tags".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for name in ["open", "in_progress", "done", "cancelled"] {
            assert_eq!(status(name).unwrap().name(), name);
        }
        for rank in 0..4 {
            assert_eq!(priority(rank).unwrap().rank(), rank);
        }
        for text in ["2026-12-01", "2026-12-01T09:00:00Z"] {
            assert_eq!(due(text).unwrap().to_string(), text);
        }
        for list in [vec![], vec!["a".to_owned(), "\"é\"".to_owned()]] {
            let json = tags_json(&list);
            assert_eq!(tags(&json).unwrap(), list);
            assert_eq!(raw_tags(&json).unwrap().get(), json);
        }
    }

    #[test]
    fn anything_else_is_an_error_that_names_the_column_and_no_tag() {
        let errors = [
            (status("paused").unwrap_err(), "status"),
            (priority(4).unwrap_err(), "priority"),
            (due("soon").unwrap_err(), "due"),
            (tags("{\"secret\": 1}").unwrap_err(), "tags"),
            (raw_tags("{\"secret\": 1}").unwrap_err(), "tags"),
            (raw_tags("[\"secret\"").unwrap_err(), "tags"),
        ];
        for (error, column) in errors {
            let text = error.to_string();
            assert!(text.contains(&format!("column {column} ")), "{text}");
            assert!(!text.contains("secret"), "{text}");
        }
    }
}
