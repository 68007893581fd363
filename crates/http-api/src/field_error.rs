//! What is wrong with one field of a body.

use serde::Serialize;

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) into the body, for instance `/title`; empty for the body itself.
    pub pointer: String,
    /// A stable name of the mistake, for instance `too-long`.
    pub code: &'static str,
    /// A sentence for the person who reads it.
    pub detail: String,
}
