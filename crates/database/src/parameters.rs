//! Many parameters of a statement, and many values in one of them.

use std::ops::Range;

use crate::Value;

/// `$3, $4, $5` for the parameters `3..6`.
pub fn placeholders(parameters: Range<usize>) -> String {
    let placeholders: Vec<_> = parameters.map(|number| format!("${number}")).collect();
    placeholders.join(", ")
}

/// Any number of values as one parameter, a list in JSON, so that the text of the statement stays the same. See
/// [`crate::Dialect::one_of`].
pub fn list_parameter<T: Into<serde_json::Value>>(values: impl IntoIterator<Item = T>) -> Value {
    serde_json::Value::from_iter(values).to_string().into()
}
