//! The keys that sign access tokens: the newest signs, all of them verify.

use std::fmt;

use api_types::{Jwk, Jwks};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes, spki::der::pem::LineEnding};
use jsonwebtoken::{DecodingKey, EncodingKey};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// One Ed25519 key pair (RFC 8032).
pub(crate) struct SigningKey {
    /// The thumbprint of the public key (RFC 7638): the same wherever the key is read.
    pub(crate) kid: String,
    pub(crate) encoding: EncodingKey,
    pub(crate) decoding: DecodingKey,
    /// The public key, base64url.
    x: String,
}

/// Every key, the oldest first.
#[derive(Debug)]
pub(crate) struct Keyring(Vec<SigningKey>);

impl SigningKey {
    /// A fresh key as PKCS#8 PEM, as `openssl genpkey -algorithm ed25519` writes it.
    pub(crate) fn generate() -> Result<Zeroizing<String>, String> {
        let mut secret = Zeroizing::new([0; 32]);
        runtime::fill_random(secret.as_mut_slice());
        let pair = KeypairBytes {
            secret_key: *secret,
            public_key: None,
        };
        pair.to_pkcs8_pem(LineEnding::LF)
            .map_err(|error| error.to_string())
    }

    /// Reads a key from PKCS#8 PEM.
    pub(crate) fn from_pem(pem: &str) -> Result<Self, String> {
        let key = ed25519_dalek::SigningKey::from_pkcs8_pem(pem)
            .map_err(|_| "expected an Ed25519 private key in PKCS#8 PEM".to_owned())?;
        let der = key.to_pkcs8_der().map_err(|error| error.to_string())?;
        let public = key.verifying_key().to_bytes();
        let x = BASE64URL.encode(public);
        let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        Ok(Self {
            kid: BASE64URL.encode(Sha256::digest(canonical)),
            encoding: EncodingKey::from_ed_der(der.as_bytes()),
            decoding: DecodingKey::from_ed_der(&public),
            x,
        })
    }

    fn jwk(&self) -> Jwk {
        Jwk::ed25519(self.kid.clone(), self.x.clone())
    }
}

impl Keyring {
    /// `keys`, the oldest first; `None` without any.
    pub(crate) fn new(keys: Vec<SigningKey>) -> Option<Self> {
        if keys.is_empty() { None } else { Some(Self(keys)) }
    }

    /// The key that signs; there always is one.
    pub(crate) fn newest(&self) -> Option<&SigningKey> {
        self.0.last()
    }

    /// The key with this id.
    pub(crate) fn get(&self, kid: &str) -> Option<&SigningKey> {
        self.0.iter().find(|key| key.kid == kid)
    }

    /// The public keys, the newest first.
    pub(crate) fn jwks(&self) -> Jwks {
        Jwks {
            keys: self.0.iter().rev().map(SigningKey::jwk).collect(),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `openssl genpkey -algorithm ed25519`
    const OPENSSL: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";

    #[test]
    fn reads_the_example_of_rfc_8037() {
        let key = SigningKey::from_pem(OPENSSL).unwrap();
        assert_eq!(key.x, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        assert_eq!(key.kid, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn what_it_generates_it_reads() {
        let pem = SigningKey::generate().unwrap();
        assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n"));
        let key = SigningKey::from_pem(&pem).unwrap();
        let other = SigningKey::from_pem(&SigningKey::generate().unwrap()).unwrap();
        assert_ne!(key.kid, other.kid);
    }

    #[test]
    fn refuses_what_is_no_key() {
        assert!(SigningKey::from_pem("").is_err());
        assert!(
            SigningKey::from_pem("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").is_err()
        );
    }

    #[test]
    fn the_newest_key_is_shown_first() {
        let keys = || [OPENSSL.to_owned(), SigningKey::generate().unwrap().to_string()];
        let pems = keys();
        let ring = Keyring::new(
            pems.iter()
                .map(|pem| SigningKey::from_pem(pem).unwrap())
                .collect(),
        )
        .unwrap();
        let newest = SigningKey::from_pem(&pems[1]).unwrap();
        assert_eq!(ring.newest().unwrap().kid, newest.kid);
        assert_eq!(
            serde_json::to_value(ring.jwks()).unwrap()["keys"][0]["kid"],
            newest.kid
        );
        assert_eq!(
            serde_json::to_value(&ring.jwks().keys[1]).unwrap(),
            serde_json::json!({
                "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA",
                "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
                "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
            })
        );
        assert!(Keyring::new(Vec::new()).is_none());
    }
}
