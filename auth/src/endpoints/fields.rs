//! Fields of several requests.

use std::sync::Arc;

use events::{AdminReason, EmailAddress, holds_address};
use http_api::{FieldError, Form, Problem, text};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::{
    error::ApiError,
    password::{Password, Policy, Weakness},
};

const MAX_DISPLAY_NAME: usize = 100;
const MAX_REASON: usize = 500;

pub(crate) fn email(value: &Value) -> Result<EmailAddress, FieldError> {
    EmailAddress::parse(text(value)?).map_err(|error| FieldError::new("invalid-email", error.to_string()))
}

/// A password, which may be any text.
pub(crate) fn password(value: &Value) -> Result<Arc<Password>, FieldError> {
    text(value).map(|text| Arc::new(Password::new(text)))
}

pub(crate) fn code(value: &Value) -> Result<Zeroizing<String>, FieldError> {
    text(value).map(|text| Zeroizing::new(text.to_owned()))
}

/// A text of 1 to `most` characters on one line, see [`events::line`].
pub(crate) fn line(value: &Value, most: usize) -> Result<String, FieldError> {
    events::line(text(value)?, most).map_err(|error| FieldError::new(error.code(), error.to_string()))
}

/// A display name: 1 to 100 characters on one line.
pub(crate) fn display_name(value: &Value) -> Result<String, FieldError> {
    line(value, MAX_DISPLAY_NAME)
}

/// The reason of an admin: 1 to 500 characters on one line. It is encrypted under the key of that one person, so it
/// must contain nobody's address.
pub(crate) fn reason(value: &Value) -> Result<AdminReason, FieldError> {
    let reason = line(value, MAX_REASON)?;
    if holds_address(&reason) {
        return Err(FieldError::new("holds-address", "must not hold an e-mail address"));
    }
    Ok(reason.into())
}

/// Checks the password in the field `pointer` against the rules for new ones.
pub(crate) fn check_new_password(
    form: &mut Form,
    pointer: &'static str,
    policy: &Policy,
    password: Option<&Arc<Password>>,
    email: Option<&EmailAddress>,
) {
    if let Some(Err(weakness)) = password.map(|password| policy.check(password, email)) {
        form.reject(pointer, weakness.code(), weakness.to_string());
    }
}

/// The same for the last rule, which needs to read a file, and is checked after all others.
pub(crate) async fn check_not_breached(
    pointer: &'static str,
    policy: &Policy,
    password: &Arc<Password>,
) -> Result<(), ApiError> {
    if policy.is_breached(password).await? {
        let weakness = Weakness::Breached;
        let error = FieldError::new(weakness.code(), weakness.to_string()).at(pointer);
        return Err(Problem::validation(vec![error]).into());
    }
    Ok(())
}
