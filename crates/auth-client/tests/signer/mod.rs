//! Creates tokens as auth does, and tokens that auth never creates.

use api_types::{Jwk, Jwks};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

pub(crate) struct Signer {
    key: SigningKey,
    pub(crate) kid: String,
}

impl Signer {
    /// The key with the number `seed`.
    pub(crate) fn new(seed: u8) -> Self {
        Self { key: SigningKey::from_bytes(&[seed; 32]), kid: format!("key-{seed}") }
    }

    pub(crate) fn jwks(&self) -> Jwks {
        let x = BASE64URL.encode(self.key.verifying_key().to_bytes());
        Jwks { keys: vec![Jwk::ed25519(self.kid.clone(), x)] }
    }

    pub(crate) fn header(&self) -> Value {
        json!({"alg": "EdDSA", "typ": "at+jwt", "kid": self.kid})
    }

    /// A signed token with these parts, whatever they contain.
    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = unsigned(header, claims);
        let signature = BASE64URL.encode(self.key.sign(message.as_bytes()).to_bytes());
        format!("{message}.{signature}")
    }

    /// The token with this number, valid for 900 seconds from `now` (seconds since 1970).
    pub(crate) fn token(&self, number: usize, now: i64) -> String {
        self.sign(&self.header(), &claims(number, now))
    }
}

pub(crate) fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| BASE64URL.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// The claims of the token with this number.
pub(crate) fn claims(number: usize, now: i64) -> Value {
    let digest = Sha256::digest(number.to_string());
    let id = |bytes: &[u8]| Uuid::from_slice(bytes).unwrap().to_string();
    json!({
        "iss": "taskledger", "aud": "taskledger", "sub": id(&digest[..16]), "sid": id(&digest[16..]),
        "email": format!("{number}@example.com"), "roles": ["user"], "iat": now, "exp": now + 900,
        "jti": Uuid::nil().to_string(),
    })
}

/// The claims of a token, without verifying it.
pub(crate) fn read(token: &str) -> Option<Value> {
    let claims = BASE64URL.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&claims).ok()
}
