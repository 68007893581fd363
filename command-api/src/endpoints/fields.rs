//! The fields of a task in a request body: from JSON to the domain's values, every error at its pointer.

use events::{Due, InvalidText, Priority, Status};
use http_api::{FieldError, Form, Presence, text};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::domain::{Description, InvalidTag, Tags, Title};

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

/// A field that may be left out but not be `null`.
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

/// The tags, with an error for each that is wrong.
pub(crate) fn tags(form: &mut Form) -> Presence<Tags> {
    match form.optional("tags", |value| Ok(parse_tags(value))) {
        Presence::Absent => Presence::Absent,
        Presence::Null => Presence::Null,
        Presence::Value(Ok(tags)) => Presence::Value(tags),
        Presence::Value(Err(errors)) => {
            for error in errors {
                form.reject(format!("/tags{}", error.pointer), error.code, error.detail);
            }
            Presence::Absent
        }
    }
}

fn parse_tags(value: &Value) -> Result<Tags, Vec<FieldError>> {
    let Value::Array(items) = value else {
        return Err(vec![FieldError::new("wrong-type", "must be an array of strings")]);
    };
    let at = |index: usize, error: FieldError| error.at(format!("/{index}"));
    let no_text = |(index, item)| text(item).err().map(|error| at(index, error));
    let errors: Vec<_> = items.iter().enumerate().filter_map(no_text).collect();
    if !errors.is_empty() {
        return Err(errors);
    }
    Tags::parse(items.iter().filter_map(Value::as_str)).map_err(|errors| {
        let invalid = |error: InvalidTag| {
            let detail = error.to_string();
            match error {
                InvalidTag::TooMany { .. } => FieldError::new("too-many", detail),
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
