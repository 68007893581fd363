//! The client's name for a command or a batch.

/// 1 to 255 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 255 visible ASCII characters")]
pub struct InvalidKey;

impl IdempotencyKey {
    /// Checks the bytes of a header.
    ///
    /// # Errors
    /// When they are not 1 to 255 visible ASCII characters.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidKey> {
        if (1..=255).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic) {
            Ok(Self(bytes.iter().copied().map(char::from).collect()))
        } else {
            Err(InvalidKey)
        }
    }

    /// The key of the command at `index` of the batch with this key. It contains a space, so that no client can send
    /// it.
    pub fn of_command(&self, index: usize) -> Self {
        Self(format!("{} {index}", self.0))
    }

    /// Whether it is the key of a command in a batch.
    pub fn is_of_batch(&self) -> bool {
        place(&self.0).is_some()
    }

    /// Whether `later` is the key of a later command of the same batch.
    pub fn comes_before(&self, later: &str) -> bool {
        match (place(&self.0), place(later)) {
            (Some((batch, index)), Some((same, later))) => batch == same && index < later,
            (_, None) | (None, _) => false,
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The key of the batch and the index in it, if `key` is that of a command in a batch.
fn place(key: &str) -> Option<(&str, usize)> {
    let (batch, index) = key.split_once(' ')?;
    Some((batch, index.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_visible_ascii() {
        assert_eq!(IdempotencyKey::parse(b"!~aZ09").unwrap().as_str(), "!~aZ09");
        for bad in [&b""[..], b"a b", b"a\tb", "ä".as_bytes(), b"\x7f"] {
            assert_eq!(IdempotencyKey::parse(bad), Err(InvalidKey), "{bad:?}");
        }
    }

    #[test]
    fn tells_the_commands_of_a_batch_apart() {
        let key = IdempotencyKey::parse(b"k").unwrap();
        let third = key.of_command(2);
        assert!(IdempotencyKey::parse(third.as_str().as_bytes()).is_err());
        assert!(third.comes_before("k 3") && third.comes_before("k 10"));
        for other in ["k 2", "k 1", "k", "k2 3", "", " 3"] {
            assert!(!third.comes_before(other), "{other}");
        }
        assert!(!key.comes_before("k 3"));
    }

    #[test]
    fn has_at_most_255_characters() {
        assert!(IdempotencyKey::parse(&[b'k'; 255]).is_ok());
        assert!(IdempotencyKey::parse(&[b'k'; 256]).is_err());
    }
}
