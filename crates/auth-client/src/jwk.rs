//! Public keys (RFC 7517, RFC 8037) as those who verify read them.

use std::{collections::HashMap, fmt, sync::Arc};

use api_types::{Jwk, Jwks};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use jsonwebtoken::DecodingKey;

/// More keys than this are not read.
const MAX_KEYS: usize = 64;
/// A longer set is not read.
const MAX_BYTES: usize = 64 * 1024;

/// The key that `jwk` describes, if it is of the one kind that is used here.
fn decoding_key(jwk: &Jwk) -> Option<DecodingKey> {
    let is_ed25519 = jwk.kty == "OKP" && jwk.crv == "Ed25519" && jwk.alg == "EdDSA";
    let public: [u8; 32] = BASE64URL.decode(&jwk.x).ok()?.try_into().ok()?;
    is_ed25519.then(|| DecodingKey::from_ed_der(&public))
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
            let key = decoding_key(jwk)?;
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
