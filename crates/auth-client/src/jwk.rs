//! Public keys (RFC 7517, RFC 7518, RFC 8037) for verification.

use std::{collections::HashMap, fmt, sync::Arc};

use api_types::{Jwk, Jwks};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use jsonwebtoken::{Algorithm, DecodingKey};

/// The most keys that are read from a set.
const MAX_KEYS: usize = 64;
/// The longest set that is read, in bytes.
const MAX_BYTES: usize = 64 * 1024;

/// A public key, and the one algorithm whose signatures it verifies, whatever the header of a token says.
#[derive(Clone)]
pub struct VerifyingKey {
    pub(crate) algorithm: Algorithm,
    pub(crate) key: DecodingKey,
}

impl VerifyingKey {
    /// The key that `jwk` describes; `None` if it is of a kind that is not used here.
    pub fn from_jwk(jwk: &Jwk) -> Option<Self> {
        let is = |kty, crv, alg| jwk.kty == kty && jwk.crv == crv && jwk.alg == alg;
        let coordinate = |text: &str| -> Option<[u8; 32]> { BASE64URL.decode(text).ok()?.try_into().ok() };
        let x = coordinate(&jwk.x)?;
        if is("OKP", "Ed25519", "EdDSA") && jwk.y.is_none() {
            Some(Self { algorithm: Algorithm::EdDSA, key: DecodingKey::from_ed_der(&x) })
        } else if is("EC", "P-256", "ES256") {
            let y = jwk.y.as_deref()?;
            coordinate(y)?;
            Some(Self { algorithm: Algorithm::ES256, key: DecodingKey::from_ec_components(&jwk.x, y).ok()? })
        } else {
            None
        }
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// Public keys by their ids.
#[derive(Clone, Default)]
pub(crate) struct PublicKeys(HashMap<String, Arc<VerifyingKey>>);

impl PublicKeys {
    /// Reads a published set. Keys of unknown kinds are ignored.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > MAX_BYTES {
            return Err(format!("a set of keys has at most {MAX_BYTES} bytes"));
        }
        let set: Jwks = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let usable = set.keys.iter().take(MAX_KEYS).filter_map(|jwk| {
            let key = VerifyingKey::from_jwk(jwk)?;
            Some((jwk.kid.clone(), Arc::new(key)))
        });
        let keys: HashMap<_, _> = usable.collect();
        if keys.is_empty() {
            return Err("a set without a usable key".to_owned());
        }
        Ok(Self(keys))
    }

    /// Whether a key of `earlier` is missing here.
    pub(crate) fn lacks_one_of(&self, earlier: &Self) -> bool {
        earlier.0.keys().any(|kid| !self.0.contains_key(kid))
    }

    pub(crate) fn get(&self, kid: &str) -> Option<Arc<VerifyingKey>> {
        self.0.get(kid).cloned()
    }
}

impl fmt::Debug for PublicKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
