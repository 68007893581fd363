//! The public keys with which anyone can verify access tokens (RFC 7517, RFC 8037).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The published set of public keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Jwks {
    /// The newest first.
    pub keys: Vec<Jwk>,
}

/// One public key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Jwk {
    /// The kind of key: `OKP`.
    pub kty: String,
    /// The curve: `Ed25519`.
    pub crv: String,
    /// The public key, as base64url.
    pub x: String,
    /// The name of the key, which tokens repeat.
    pub kid: String,
    /// What the key is for: `sig`.
    pub r#use: String,
    /// The algorithm: `EdDSA`.
    pub alg: String,
}

impl Jwk {
    /// The Ed25519 key whose base64url text is `x`.
    #[must_use]
    pub fn ed25519(kid: String, x: String) -> Self {
        Self {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            x,
            kid,
            r#use: "sig".to_owned(),
            alg: "EdDSA".to_owned(),
        }
    }
}

impl Jwks {
    /// Writes the set.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // Plain structs of strings: writing them as JSON cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}
