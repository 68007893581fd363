//! The fields of a task in a request body: from JSON to the domain's values, every error at its pointer.

use events::{Due, InvalidText, Priority, Status};
use serde::de::DeserializeOwned;
use serde_json::Value;
use service::{Form, Invalid, Presence, text};

use crate::domain::{Description, InvalidTag, Tags, Title};

pub(super) fn title(value: &Value) -> Result<Title, Invalid> {
    Title::parse(text(value)?).map_err(invalid)
}

pub(super) fn description(value: &Value) -> Result<Description, Invalid> {
    Description::parse(text(value)?).map_err(invalid)
}

pub(super) fn priority(value: &Value) -> Result<Priority, Invalid> {
    one_of(value, "must be low, normal, high or urgent")
}

pub(super) fn status(value: &Value) -> Result<Status, Invalid> {
    one_of(value, "must be open, in_progress, done or cancelled")
}

pub(super) fn due(value: &Value) -> Result<Due, Invalid> {
    text(value)?
        .parse()
        .map_err(|error: events::ParseDueError| Invalid::new("malformed", error.to_string()))
}

/// A field that may be left out but not be `null`.
pub(super) fn not_null<T>(
    form: &mut Form,
    name: &'static str,
    parse: impl FnOnce(&Value) -> Result<T, Invalid>,
) -> Option<T> {
    match form.optional(name, parse) {
        Presence::Value(value) => Some(value),
        Presence::Absent => None,
        Presence::Null => {
            form.reject(format!("/{name}"), "not-nullable", "must not be null");
            None
        }
    }
}

/// The tags, with an error for each that is wrong.
pub(super) fn tags(form: &mut Form) -> Presence<Tags> {
    let items = match form.optional("tags", |value| Ok(value.clone())) {
        Presence::Absent => return Presence::Absent,
        Presence::Null => return Presence::Null,
        Presence::Value(Value::Array(items)) => items,
        Presence::Value(_) => {
            form.reject("/tags", "wrong-type", "must be an array of strings");
            return Presence::Absent;
        }
    };
    let mut all_text = true;
    for (index, item) in items.iter().enumerate() {
        if let Err(error) = text(item) {
            all_text = false;
            form.reject(format!("/tags/{index}"), error.code, error.detail);
        }
    }
    if !all_text {
        return Presence::Absent;
    }
    match Tags::parse(items.iter().filter_map(Value::as_str)) {
        Ok(tags) => Presence::Value(tags),
        Err(errors) => {
            for error in errors {
                let (pointer, code) = match error {
                    InvalidTag::TooMany { .. } => ("/tags".to_owned(), "too-many"),
                    InvalidTag::Repeated { index, .. } => (format!("/tags/{index}"), "repeated"),
                    InvalidTag::Text { index, error } => (format!("/tags/{index}"), error.code()),
                };
                form.reject(pointer, code, error.to_string());
            }
            Presence::Absent
        }
    }
}

pub(super) fn one_of<T: DeserializeOwned>(value: &Value, expected: &'static str) -> Result<T, Invalid> {
    text(value)?;
    serde_json::from_value(value.clone()).map_err(|_| Invalid::new("unknown-value", expected))
}

fn invalid(error: InvalidText) -> Invalid {
    Invalid::new(error.code(), error.to_string())
}
