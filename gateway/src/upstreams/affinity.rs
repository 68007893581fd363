//! Sends a caller's commands to the same replica while it is ready, because it has the caller's tasks in memory. At
//! another replica each change would first meet a conflict.
//!
//! Rendezvous hashing (Thaler and Ravishankar, 1998): every gateway with the same addresses computes the same order,
//! and adding or removing a replica moves only its own callers. The caller is not verified here: it only selects a
//! replica, and a false one only makes the sender's commands slower.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use http::HeaderMap;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::caller::bearer;

/// The longest payload of an access token, in bytes.
const MAX_PAYLOAD: usize = 4 * 1024;

/// A key that represents a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CallerKey([u8; 32]);

#[derive(Deserialize)]
struct Claims<'p> {
    sub: &'p str,
}

impl CallerKey {
    /// The caller of a request: the subject of its access token, or else the token itself.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let token = bearer(headers)?;
        let payload = token
            .split('.')
            .nth(1)
            .filter(|payload| payload.len() <= MAX_PAYLOAD)
            .and_then(|payload| BASE64URL.decode(payload).ok())
            .unwrap_or_default();
        let name = match serde_json::from_slice::<Claims<'_>>(&payload) {
            Ok(claims) => claims.sub,
            Err(_) => token,
        };
        Some(Self(Sha256::digest(name.as_bytes()).into()))
    }

    /// The weight of the replica at `address` for the caller. The replica with the highest weight comes first.
    pub(super) fn weight(self, address: &str) -> u64 {
        let digest = Sha256::new().chain_update(self.0).chain_update(address.as_bytes()).finalize();
        digest.iter().take(8).fold(0, |weight, byte| weight << 8 | u64::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header};

    use super::*;

    fn key(authorization: &str) -> Option<CallerKey> {
        let value = HeaderValue::from_str(authorization).unwrap();
        CallerKey::of(&HeaderMap::from_iter([(header::AUTHORIZATION, value)]))
    }

    fn token(payload: &str, signature: &str) -> String {
        format!("Bearer e30.{}.{signature}", BASE64URL.encode(payload))
    }

    #[test]
    fn a_caller_is_told_by_the_subject_whatever_else_the_token_says() {
        let first = key(&token(r#"{"sub":"ann","jti":1}"#, "a"));
        assert!(first.is_some());
        assert_eq!(first, key(&token(r#"{"jti":2,"sub":"ann"}"#, "b")));
        assert_ne!(first, key(&token(r#"{"sub":"bob"}"#, "a")));
        // A token that is not a JWT represents itself.
        assert_eq!(key("Bearer program-1"), key("bearer program-1"));
        assert_ne!(key("Bearer program-1"), key("Bearer program-2"));
        assert_eq!(key("Basic YTpi"), None);
        assert_eq!(CallerKey::of(&HeaderMap::new()), None);
    }

    #[test]
    fn callers_are_spread_evenly_and_one_replica_less_moves_only_its_own() {
        let replicas = ["10.0.0.1:8081", "10.0.0.2:8081", "10.0.0.3:8081"];
        let place = |caller: &CallerKey, of: &[&'static str]| {
            *of.iter().max_by_key(|address| caller.weight(address)).unwrap()
        };
        let callers: Vec<CallerKey> =
            (0..3_000).map(|number| key(&format!("Bearer {number}")).unwrap()).collect();
        for replica in replicas {
            let count = callers.iter().filter(|caller| place(caller, &replicas) == replica).count();
            assert!((850..1_150).contains(&count), "{replica}: {count}");
        }
        for caller in &callers {
            let before = place(caller, &replicas);
            if before != replicas[2] {
                assert_eq!(place(caller, &replicas[..2]), before);
            }
        }
    }
}
