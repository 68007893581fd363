//! Tells whether two requests with the same key are the same command.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// SHA-256 over method, path, precondition and body. The body counts by what it says, not by its white space
/// or the order of its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestHash([u8; 32]);

impl RequestHash {
    /// Of a request with the method `method` for `path`, with `if_match` as its `If-Match` header.
    #[must_use]
    pub fn new(method: &str, path: &str, if_match: &[u8], body: &Map<String, Value>) -> Self {
        let body = canonical_object(body).to_string();
        let mut hash = Sha256::new();
        for part in [method.as_bytes(), path.as_bytes(), if_match, body.as_bytes()] {
            // Lengths keep one part from running into the next.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// The digest.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(fields) => canonical_object(fields),
        Value::Array(items) => items.iter().map(canonical).collect(),
        other => other.clone(),
    }
}

fn canonical_object(fields: &Map<String, Value>) -> Value {
    let mut fields: Vec<_> = fields.iter().collect();
    fields.sort_by_key(|(name, _)| *name);
    fields
        .into_iter()
        .map(|(name, value)| (name.clone(), canonical(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(method: &str, path: &str, if_match: &str, body: &str) -> RequestHash {
        RequestHash::new(
            method,
            path,
            if_match.as_bytes(),
            &serde_json::from_str(body).unwrap(),
        )
    }

    #[test]
    fn says_the_same_of_the_same_command() {
        assert_eq!(
            hash("POST", "/tasks", "", r#"{"title":"a","tags":["x"]}"#),
            hash("POST", "/tasks", "", "{ \"tags\": [\"x\"],\n \"title\": \"a\" }")
        );
    }

    #[test]
    fn tells_every_part_apart() {
        let first = hash("PATCH", "/tasks/1", "\"1\"", r#"{"title":"a"}"#);
        for other in [
            hash("POST", "/tasks/1", "\"1\"", r#"{"title":"a"}"#),
            hash("PATCH", "/tasks/2", "\"1\"", r#"{"title":"a"}"#),
            hash("PATCH", "/tasks/1", "\"2\"", r#"{"title":"a"}"#),
            hash("PATCH", "/tasks/1", "\"1\"", r#"{"title":"b"}"#),
            hash("PATCH", "/tasks/1\"1\"", "", r#"{"title":"a"}"#),
        ] {
            assert_ne!(first, other);
        }
    }
}
