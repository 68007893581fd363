//! How much of what is wrong with a request is listed: what is more than a person would read is only counted.

use api_types::FieldError;
use events::BoundedText;

/// As many errors of one problem are listed, or fewer once they take
const MOST_ERRORS: usize = 50;
/// so many bytes.
const MOST_BYTES: usize = 4 * 1024;
/// A text in a problem has at most so many bytes.
pub(crate) const MOST_TEXT: usize = 512;

/// How many bytes the errors in one answer may still take, as written in JSON. The last that is listed may take a little
/// more.
#[derive(Debug)]
pub struct ErrorRoom(usize);

impl ErrorRoom {
    /// Room for so many bytes, for an answer that holds several problems.
    #[must_use]
    pub const fn new(bytes: usize) -> Self {
        Self(bytes)
    }

    /// The beginning of `errors`, and how many are left out.
    pub(crate) fn list(&mut self, errors: Vec<FieldError>) -> Vec<FieldError> {
        let clip = |text: String| BoundedText::<MOST_TEXT>::from(text).into();
        let (mut listed, mut bytes) = (Vec::new(), 0);
        let most = self.0.min(MOST_BYTES);
        let mut errors = errors.into_iter();
        while listed.len() < MOST_ERRORS
            && bytes < most
            && let Some(error) = errors.next()
        {
            let error = FieldError {
                pointer: clip(error.pointer),
                code: error.code,
                detail: clip(error.detail),
            };
            bytes += written(&error);
            listed.push(error);
        }
        self.0 = self.0.saturating_sub(bytes);
        let rest = errors.len();
        if rest > 0 {
            listed.push(FieldError::new(
                "more-errors",
                format!("{rest} more errors are not listed"),
            ));
        }
        listed
    }
}

/// Room for the errors of one problem.
impl Default for ErrorRoom {
    fn default() -> Self {
        Self(MOST_BYTES)
    }
}

/// The length in JSON, where a control character takes six bytes.
fn written(error: &FieldError) -> usize {
    serde_json::to_vec(error).map_or(MOST_BYTES, |text| text.len())
}
