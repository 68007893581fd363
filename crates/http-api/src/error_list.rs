//! Limits how many errors of a request are listed; the others are only counted.

use api_types::FieldError;
use events::BoundedText;

/// The most errors that one problem lists.
const MAX_ERRORS: usize = 50;
/// The most bytes of all errors in one problem.
const MAX_BYTES: usize = 4 * 1024;
/// The most bytes of a text in a problem.
pub(crate) const MAX_TEXT: usize = 512;

/// The bytes that are left for errors in one answer, as written in JSON. The last listed error may exceed them a
/// little.
#[derive(Debug)]
pub struct ErrorRoom(usize);

impl ErrorRoom {
    /// Room for `bytes`, for an answer with several problems.
    pub const fn new(bytes: usize) -> Self {
        Self(bytes)
    }

    /// The first of `errors`, and the number of the others.
    pub(crate) fn list(&mut self, errors: Vec<FieldError>) -> Vec<FieldError> {
        let clip = |text: String| BoundedText::<MAX_TEXT>::from(text).into();
        let (mut listed, mut bytes) = (Vec::new(), 0);
        let most = self.0.min(MAX_BYTES);
        let mut errors = errors.into_iter();
        while listed.len() < MAX_ERRORS
            && bytes < most
            && let Some(error) = errors.next()
        {
            let error =
                FieldError { pointer: clip(error.pointer), code: error.code, detail: clip(error.detail) };
            bytes += written(&error);
            listed.push(error);
        }
        self.0 = self.0.saturating_sub(bytes);
        let rest = errors.len();
        if rest > 0 {
            listed.push(FieldError::new("more-errors", format!("{rest} more errors are not listed")));
        }
        listed
    }
}

/// Room for the errors of one problem.
impl Default for ErrorRoom {
    fn default() -> Self {
        Self(MAX_BYTES)
    }
}

/// The length in JSON, where a control character takes six bytes.
fn written(error: &FieldError) -> usize {
    serde_json::to_vec(error).map_or(MAX_BYTES, |text| text.len())
}
