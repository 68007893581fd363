//! The tags of a task.

use std::collections::HashMap;

use crate::{InvalidText, line};

/// Up to 20 tags of 1 to 50 characters on one line each, see [`line()`], all different (`Home` and `home` are
/// different), in the order given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tags(Vec<String>);

/// What is wrong with one tag, or with the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant has its message")]
pub enum InvalidTag {
    #[error("must have at most {max} tags, has {found}")]
    TooMany {
        /// How many are allowed.
        max: usize,
        /// How many there are.
        found: usize,
    },
    #[error("expected a string")]
    NotText {
        /// Its index, from 0.
        index: usize,
    },
    #[error("{error}")]
    Text {
        /// Its index, from 0.
        index: usize,
        /// The reason.
        error: InvalidText,
    },
    #[error("is the same as tag {first}")]
    Repeated {
        /// Its index, from 0.
        index: usize,
        /// The index of the first one, from 0.
        first: usize,
    },
}

impl Tags {
    /// The most tags that a task may have.
    pub const MAX: usize = 20;
    /// The most characters that a tag may have.
    pub const MAX_CHARACTERS: usize = 50;

    /// Trims and checks all tags. An item that is not a string is `None`.
    ///
    /// # Errors
    /// All mistakes.
    pub fn parse<'a, T>(items: impl IntoIterator<Item = T>) -> Result<Self, Vec<InvalidTag>>
    where
        T: Into<Option<&'a str>>,
    {
        let mut errors = Vec::new();
        let mut tags = Vec::new();
        let mut first_of: HashMap<String, usize> = HashMap::new();
        let mut found = 0;
        for (index, item) in items.into_iter().enumerate() {
            found += 1;
            match item.into().map(|text| line(text, Self::MAX_CHARACTERS)) {
                None => errors.push(InvalidTag::NotText { index }),
                Some(Err(error)) => errors.push(InvalidTag::Text { index, error }),
                Some(Ok(tag)) => match first_of.get(&tag) {
                    Some(first) => errors.push(InvalidTag::Repeated { index, first: *first }),
                    None => {
                        first_of.insert(tag.clone(), index);
                        tags.push(tag);
                    }
                },
            }
        }
        if found > Self::MAX {
            errors.push(InvalidTag::TooMany { max: Self::MAX, found });
        }
        if errors.is_empty() { Ok(Self(tags)) } else { Err(errors) }
    }

    /// The tags, in order.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_trimmed_and_keep_their_order() {
        assert_eq!(Tags::parse([" z ", "a", "Ä b"]).unwrap().as_slice(), ["z", "a", "Ä b"]);
    }

    #[test]
    fn are_at_most_twenty() {
        let tags: Vec<String> = (0..21).map(|n| n.to_string()).collect();
        assert!(Tags::parse(tags[..20].iter().map(String::as_str)).is_ok());
        let errors = Tags::parse(tags.iter().map(String::as_str)).unwrap_err();
        assert_eq!(errors, [InvalidTag::TooMany { max: 20, found: 21 }]);
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let long = "x".repeat(51);
        let items = [Some("a"), Some(" "), Some("a "), Some(&long), Some("b\u{1f}c"), None];
        let errors = Tags::parse(items).unwrap_err();
        assert_eq!(
            errors,
            [
                InvalidTag::Text { index: 1, error: InvalidText::Empty },
                InvalidTag::Repeated { index: 2, first: 0 },
                InvalidTag::Text { index: 3, error: InvalidText::TooLong { max: 50, found: 51 } },
                InvalidTag::Text { index: 4, error: InvalidText::ControlCharacter('\u{1f}') },
                InvalidTag::NotText { index: 5 },
            ]
        );
    }

    #[test]
    fn do_not_differ_by_how_a_character_is_composed() {
        assert_eq!(
            Tags::parse(["\u{e9}", "e\u{301}"]),
            Err(vec![InvalidTag::Repeated { index: 1, first: 0 }])
        );
    }

    #[test]
    fn differ_by_case() {
        assert_eq!(Tags::parse(["Home", "home"]).unwrap().as_slice().len(), 2);
    }
}
