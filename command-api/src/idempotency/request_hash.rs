//! Compares two requests with the same key by a hash.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// SHA-256 over method, path, preconditions and body. White space and the order of fields in the body do not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestHash([u8; 32]);

impl RequestHash {
    /// Of a request with the method `method` for `path`, with `if_match` as its `If-Match` header.
    pub fn new(method: &str, path: &str, if_match: &[u8], body: &Map<String, Value>) -> Self {
        let mut hash = Hash(Sha256::new());
        for part in [method.as_bytes(), path.as_bytes(), if_match] {
            // Lengths separate the parts.
            hash.0.update((part.len() as u64).to_be_bytes());
            hash.0.update(part);
        }
        hash.object(body);
        Self(hash.0.finalize().into())
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Hashes JSON without copying it.
struct Hash(Sha256);

impl Hash {
    fn value(&mut self, value: &Value) {
        match value {
            Value::Object(fields) => self.object(fields),
            Value::Array(items) => {
                self.0.update(b"[");
                for item in items {
                    self.value(item);
                    self.0.update(b",");
                }
                self.0.update(b"]");
            }
            Value::String(text) => self.scalar(text),
            Value::Number(number) => self.scalar(number),
            Value::Bool(boolean) => self.scalar(boolean),
            Value::Null => self.0.update(b"null"),
        }
    }

    fn object(&mut self, fields: &Map<String, Value>) {
        let mut fields: Vec<_> = fields.iter().collect();
        fields.sort_unstable_by_key(|(name, _)| *name);
        self.0.update(b"{");
        for (name, value) in fields {
            self.scalar(name);
            self.0.update(b":");
            self.value(value);
            self.0.update(b",");
        }
        self.0.update(b"}");
    }

    fn scalar(&mut self, scalar: &(impl Serialize + ?Sized)) {
        // A scalar can always be written, and a hash accepts all bytes.
        let _ = serde_json::to_writer(self, scalar);
    }
}

impl Write for Hash {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(method: &str, path: &str, if_match: &str, body: &str) -> RequestHash {
        RequestHash::new(method, path, if_match.as_bytes(), &serde_json::from_str(body).unwrap())
    }

    #[test]
    fn says_the_same_of_the_same_command() {
        assert_eq!(
            hash("POST", "/tasks", "", r#"{"title":"a","tags":["x"],"due":null}"#),
            hash("POST", "/tasks", "", "{ \"tags\": [\"\\u0078\"],\n \"due\" : null, \"title\": \"a\" }")
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
            hash("PATCH", "/tasks/1", "\"1\"", r#"{"title":["a"]}"#),
            hash("PATCH", "/tasks/1", "\"1\"", r#"{"title":["a",[]]}"#),
            hash("PATCH", "/tasks/1", "\"1\"", r#"{"title":"a","tags":null}"#),
            hash("PATCH", "/tasks/1\"1\"", "", r#"{"title":"a"}"#),
        ] {
            assert_ne!(first, other);
        }
    }
}
