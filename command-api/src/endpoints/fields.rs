//! The fields of a task in a request body: from JSON to the domain's values, every error at its pointer.

use events::{Description, Due, InvalidTag, InvalidText, Priority, Status, Tags, Title};
use http_api::{FieldError, FieldErrors, Form, Presence, text};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub(crate) fn title(value: &Value) -> Result<Title, FieldError> {
    Title::parse(text(value)?).map_err(invalid)
}

pub(crate) fn description(value: &Value) -> Result<Description, FieldError> {
    Description::parse(text(value)?).map_err(invalid)
}

pub(crate) fn priority(value: &Value) -> Result<Priority, FieldError> {
    one_of(value, "must be low, normal, high or urgent")
}

pub(crate) fn status(value: &Value) -> Result<Status, FieldError> {
    one_of(value, "must be open, in_progress, done or cancelled")
}

pub(crate) fn due(value: &Value) -> Result<Due, FieldError> {
    text(value)?
        .parse()
        .map_err(|error: events::ParseDueError| FieldError::new("malformed", error.to_string()))
}

/// An optional field that must not be `null`.
pub(crate) fn not_null<T>(
    form: &mut Form,
    name: &'static str,
    parse: impl FnOnce(&Value) -> Result<T, FieldError>,
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

/// Reads the tags, with an error for each invalid one.
pub(crate) fn tags(value: &Value) -> Result<Tags, FieldErrors> {
    let Value::Array(items) = value else {
        return Err(FieldError::wrong_type("an array of strings").into());
    };
    let at = |index: usize, error: FieldError| error.at(format!("/{index}"));
    Tags::parse(items.iter().map(Value::as_str)).map_err(|errors| {
        let invalid = |error: InvalidTag| {
            let detail = error.to_string();
            match error {
                InvalidTag::TooMany { .. } => FieldError::new("too-many", detail),
                InvalidTag::NotText { index } => at(index, FieldError::wrong_type("a string")),
                InvalidTag::Repeated { index, .. } => at(index, FieldError::new("repeated", detail)),
                InvalidTag::Text { index, error } => at(index, FieldError::new(error.code(), detail)),
            }
        };
        errors.into_iter().map(invalid).collect()
    })
}

pub(crate) fn one_of<T: DeserializeOwned>(value: &Value, expected: &'static str) -> Result<T, FieldError> {
    text(value)?;
    T::deserialize(value).map_err(|_| FieldError::new("unknown-value", expected))
}

fn invalid(error: InvalidText) -> FieldError {
    FieldError::new(error.code(), error.to_string())
}
