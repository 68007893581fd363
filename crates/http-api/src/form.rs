//! Reads an object field by field and collects all mistakes. Knows nothing of HTTP but the problem.

use std::borrow::Cow;

use api_types::FieldError;
use serde_json::{Map, Value};

use crate::problem::Problem;

/// A field that may be missing, and may be cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence<T> {
    /// Missing, or invalid: then the form has recorded the mistake.
    Absent,
    /// `null`
    Null,
    /// Present and valid.
    Value(T),
}

impl<T> Presence<T> {
    /// The value, with `null` read like an absent field.
    pub fn into_value(self) -> Option<T> {
        match self {
            Self::Absent | Self::Null => None,
            Self::Value(value) => Some(value),
        }
    }
}

/// Everything that is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldErrors(Vec<FieldError>);

impl From<FieldError> for FieldErrors {
    fn from(error: FieldError) -> Self {
        Self(vec![error])
    }
}

impl FromIterator<FieldError> for FieldErrors {
    fn from_iter<T: IntoIterator<Item = FieldError>>(errors: T) -> Self {
        Self(errors.into_iter().collect())
    }
}

/// An object that is being read. Fields that are not read are mistakes.
#[derive(Debug)]
pub struct Form {
    fields: Map<String, Value>,
    errors: Vec<FieldError>,
}

impl Form {
    /// Begins to read an object, member by member.
    pub fn new(fields: Map<String, Value>) -> Self {
        Self { fields, errors: Vec::new() }
    }

    /// Reads a required field. `None` means that [`Self::finish`] will fail.
    pub fn required<T, E: Into<FieldErrors>>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&Value) -> Result<T, E>,
    ) -> Option<T> {
        match self.optional(name, parse) {
            Presence::Value(value) => Some(value),
            Presence::Absent if self.has_error(name) => None,
            Presence::Absent | Presence::Null => {
                self.reject(pointer_to(name), "required", "this field is required");
                None
            }
        }
    }

    /// Reads a field that may be missing or `null`.
    pub fn optional<T, E: Into<FieldErrors>>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&Value) -> Result<T, E>,
    ) -> Presence<T> {
        match self.fields.remove(name) {
            None => Presence::Absent,
            Some(Value::Null) => Presence::Null,
            Some(value) => match parse(&value) {
                Ok(value) => Presence::Value(value),
                Err(errors) => {
                    for invalid in errors.into().0 {
                        let pointer = format!("{}{}", pointer_to(name), invalid.pointer);
                        self.reject(pointer, invalid.code, invalid.detail);
                    }
                    Presence::Absent
                }
            },
        }
    }

    /// Records a mistake that the caller found, for instance between two fields.
    pub fn reject(
        &mut self,
        pointer: impl Into<String>,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<String>,
    ) {
        self.errors.push(FieldError { pointer: pointer.into(), code: code.into(), detail: detail.into() });
    }

    /// Ends the reading of the object.
    ///
    /// # Errors
    /// `422 validation-failed` with every mistake, unknown fields among them.
    pub fn finish(self) -> Result<(), Problem> {
        let errors = self.into_errors();
        if errors.is_empty() { Ok(()) } else { Err(Problem::validation(errors)) }
    }

    /// Ends the reading of an object with required fields. `values` are what [`Self::required`] has read, so that all
    /// of them are there if there is no mistake.
    ///
    /// # Errors
    /// Those of [`Self::finish`].
    pub fn finish_with<T>(self, values: Option<T>) -> Result<T, Problem> {
        self.finish()?;
        values.ok_or_else(Problem::internal)
    }

    /// Ends reading, with every mistake, unknown fields among them. For objects inside a larger body.
    #[must_use]
    pub fn into_errors(self) -> Vec<FieldError> {
        let mut errors = self.errors;
        let unknown = FieldError::new("unknown-field", "there is no such field");
        errors.extend(self.fields.keys().map(|name| unknown.clone().at(pointer_to(name))));
        errors
    }

    fn has_error(&self, name: &str) -> bool {
        let pointer = pointer_to(name);
        self.errors.last().is_some_and(|error| {
            error.pointer.strip_prefix(&pointer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

/// Reads a string.
///
/// # Errors
/// `wrong-type` for anything else.
pub fn text(value: &Value) -> Result<&str, FieldError> {
    value.as_str().ok_or_else(|| FieldError::wrong_type("a string"))
}

/// Reads each item of an array; `expected` describes the array, for instance "an array of roles".
///
/// # Errors
/// `wrong-type` for anything else, and the mistake of each item at its place.
pub fn items<T, C: FromIterator<T>>(
    value: &Value,
    expected: &str,
    parse: impl Fn(&Value) -> Result<T, FieldError>,
) -> Result<C, FieldErrors> {
    let items = value.as_array().ok_or_else(|| FieldError::wrong_type(expected))?;
    let mut errors = Vec::new();
    let at_its_place =
        |(index, item)| parse(item).map_err(|error| errors.push(error.at(format!("/{index}")))).ok();
    let parsed = items.iter().enumerate().filter_map(at_its_place).collect();
    match errors.is_empty() {
        true => Ok(parsed),
        false => Err(FieldErrors(errors)),
    }
}

/// The JSON pointer to the field `name` (RFC 6901).
pub(crate) fn pointer_to(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn form(value: Value) -> Form {
        let Value::Object(fields) = value else { panic!("not an object") };
        Form::new(fields)
    }

    fn owned(value: &Value) -> Result<String, FieldError> {
        text(value).map(str::to_owned)
    }

    #[test]
    fn reads_what_is_there() {
        let mut form = form(json!({"a": "x", "b": null}));
        assert_eq!(form.required("a", owned), Some("x".to_owned()));
        assert_eq!(form.optional("b", owned), Presence::Null);
        assert_eq!(form.optional("c", owned), Presence::Absent);
        assert!(form.finish().is_ok());
    }

    #[test]
    fn collects_every_mistake_at_once() {
        let mut form = form(json!({"a": 1, "b": null, "d": [1, "x", 2], "e/~": true, "f": "x"}));
        assert_eq!(form.required("a", owned), None);
        assert_eq!(form.required("b", owned), None);
        assert_eq!(form.required("c", owned), None);
        let strings = |value: &Value| items::<_, Vec<_>>(value, "an array of strings", owned);
        assert_eq!(form.required("d", strings), None);
        assert_eq!(form.optional("f", strings), Presence::Absent);
        let found: Vec<_> =
            form.into_errors().into_iter().map(|error| (error.pointer, error.code.into_owned())).collect();
        let expected = [
            ("/a", "wrong-type"),
            ("/b", "required"),
            ("/c", "required"),
            ("/d/0", "wrong-type"),
            ("/d/2", "wrong-type"),
            ("/f", "wrong-type"),
            ("/e~1~0", "unknown-field"),
        ];
        assert_eq!(found, expected.map(|(pointer, code)| (pointer.to_owned(), code.to_owned())));
    }
}
