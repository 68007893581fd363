//! The text of an error together with its causes.

use std::error::Error;

/// An error with its causes, in one line. A cause that the text before it already contains is left out.
pub fn with_causes(error: &dyn Error) -> String {
    followed_by_causes(error.to_string(), error)
}

/// The same with `text` in place of the error itself.
pub fn followed_by_causes(text: impl Into<String>, error: &dyn Error) -> String {
    let mut text = text.into();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Failed {
        text: &'static str,
        source: io::Error,
    }

    fn failed(text: &'static str) -> Failed {
        Failed { text, source: io::Error::other("the disk is full") }
    }

    #[test]
    fn a_cause_is_said_once() {
        assert_eq!(with_causes(&failed("cannot write")), "cannot write: the disk is full");
        assert_eq!(with_causes(&failed("the disk is full, again")), "the disk is full, again");
        assert_eq!(followed_by_causes("no", &failed("cannot write")), "no: the disk is full");
    }
}
