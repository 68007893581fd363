//! The fields that several requests share.

use std::sync::Arc;

use events::EmailAddress;
use http_api::{FieldError, Form, text};
use serde_json::Value;

use crate::password::{self, Password};

const MAX_DISPLAY_NAME: usize = 100;

/// An address that an account may have.
pub(crate) fn email(value: &Value) -> Result<EmailAddress, FieldError> {
    EmailAddress::parse(text(value)?).map_err(|error| FieldError::new("invalid-email", error.to_string()))
}

/// Any text, to be compared to a password or hashed.
pub(crate) fn password(value: &Value) -> Result<Arc<Password>, FieldError> {
    text(value).map(|text| Arc::new(Password::new(text)))
}

/// How to call someone: 1 to 100 characters on one line, see [`events::line`].
pub(crate) fn display_name(value: &Value) -> Result<String, FieldError> {
    events::line(text(value)?, MAX_DISPLAY_NAME)
        .map_err(|error| FieldError::new(error.code(), error.to_string()))
}

/// Holds the password in the field `pointer` to the rules for new ones.
pub(crate) fn check_new_password(
    form: &mut Form,
    pointer: &'static str,
    password: Option<&Arc<Password>>,
    email: Option<&EmailAddress>,
) {
    if let Some(Err(weakness)) = password.map(|password| password::check(password, email)) {
        form.reject(pointer, weakness.code(), weakness.to_string());
    }
}
