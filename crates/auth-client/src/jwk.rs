//! Public keys as they are published (RFC 7517, RFC 8037), and read again by those who verify.

use std::{collections::HashMap, fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use bytes::Bytes;
use jsonwebtoken::DecodingKey;
use serde::{Deserialize, Serialize};

/// More keys than this are not read.
const MAX_KEYS: usize = 64;
/// A longer set is not read.
const MAX_BYTES: usize = 64 * 1024;

/// One public key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwk {
    kty: String,
    crv: String,
    x: String,
    kid: String,
    r#use: String,
    alg: String,
}

/// The published set of public keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwks {
    /// The newest first.
    pub keys: Vec<Jwk>,
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

    fn decoding_key(&self) -> Option<DecodingKey> {
        let is_ed25519 = self.kty == "OKP" && self.crv == "Ed25519" && self.alg == "EdDSA";
        let public: [u8; 32] = BASE64URL.decode(&self.x).ok()?.try_into().ok()?;
        is_ed25519.then(|| DecodingKey::from_ed_der(&public))
    }
}

impl Jwks {
    /// Writes the set.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        // Plain structs of strings: writing them as JSON cannot fail.
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}

/// Public keys that can verify, by their ids.
#[derive(Clone, Default)]
pub(crate) struct PublicKeys(HashMap<String, Arc<DecodingKey>>);

impl PublicKeys {
    /// Reads a published set. Keys of other kinds are passed over.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > MAX_BYTES {
            return Err(format!("a set of keys has at most {MAX_BYTES} bytes"));
        }
        let set: Jwks = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let usable = set.keys.iter().take(MAX_KEYS).filter_map(|jwk| {
            let key = jwk.decoding_key()?;
            Some((jwk.kid.clone(), Arc::new(key)))
        });
        let keys: HashMap<_, _> = usable.collect();
        if keys.is_empty() {
            return Err("a set without a usable key".to_owned());
        }
        Ok(Self(keys))
    }

    pub(crate) fn get(&self, kid: &str) -> Option<Arc<DecodingKey>> {
        self.0.get(kid).cloned()
    }
}

impl fmt::Debug for PublicKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
