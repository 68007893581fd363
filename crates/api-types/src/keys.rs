//! The public keys with which anyone can verify access tokens (RFC 7517, RFC 7518, RFC 8037).

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
    /// The kind of key: `OKP` or `EC`.
    pub kty: String,
    /// The curve: `Ed25519` or `P-256`.
    pub crv: String,
    /// The public key, or its first coordinate, as base64url.
    pub x: String,
    /// The second coordinate of a public key of the kind `EC`, as base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String)]
    pub y: Option<String>,
    /// The name of the key, which tokens repeat.
    pub kid: String,
    /// What the key is for: `sig`.
    pub r#use: String,
    /// The algorithm: `EdDSA` or `ES256`.
    pub alg: String,
}

impl Jwk {
    /// The Ed25519 key whose base64url text is `x`.
    pub fn ed25519(kid: String, x: String) -> Self {
        Self {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            x,
            y: None,
            kid,
            r#use: "sig".to_owned(),
            alg: "EdDSA".to_owned(),
        }
    }

    /// The P-256 key whose coordinates are `x` and `y` as base64url texts.
    pub fn p256(kid: String, x: String, y: String) -> Self {
        Self {
            kty: "EC".to_owned(),
            crv: "P-256".to_owned(),
            x,
            y: Some(y),
            kid,
            r#use: "sig".to_owned(),
            alg: "ES256".to_owned(),
        }
    }
}

impl Jwks {
    /// Writes the set.
    pub fn encode(&self) -> Vec<u8> {
        // Plain structs of strings: writing them as JSON cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}
