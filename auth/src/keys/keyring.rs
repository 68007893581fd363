//! The keys for access tokens: one signs, all of them verify.

use std::fmt;

use api_types::{Jwk, Jwks};
use auth_client::VerifyingKey;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes, spki::der::pem::LineEnding};
use events::Timestamp;
use jsonwebtoken::EncodingKey;
use p256::{
    elliptic_curve::sec1::ToEncodedPoint,
    pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _},
};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigningAlgorithm {
    /// Ed25519 (RFC 8032, RFC 8037).
    EdDsa,
    /// ECDSA over P-256 (RFC 7518), for verifiers that do not know Ed25519.
    Es256,
}

impl SigningAlgorithm {
    /// Its name in the header of a token.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
        }
    }

    pub(crate) const fn of_header(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
        }
    }
}

pub(crate) struct SigningKey {
    /// The thumbprint of the public key (RFC 7638): the same wherever the key is read.
    pub(crate) kid: String,
    pub(crate) algorithm: SigningAlgorithm,
    pub(crate) encoding: EncodingKey,
    pub(crate) verifying: VerifyingKey,
    /// The time from which it signs, unless a later key does. `None` means that it is only published.
    pub(crate) signs_from: Option<Timestamp>,
    jwk: Jwk,
}

/// Every key, the oldest first, and keys that do not sign yet last.
#[derive(Debug)]
pub(crate) struct Keyring(Vec<SigningKey>);

impl SigningKey {
    /// A new key as PKCS#8 PEM, as `openssl genpkey` writes it.
    pub(crate) fn generate(algorithm: SigningAlgorithm) -> Result<Zeroizing<String>, String> {
        let mut secret = Zeroizing::new([0; 32]);
        match algorithm {
            SigningAlgorithm::EdDsa => {
                runtime::fill_random(secret.as_mut_slice());
                let pair = KeypairBytes { secret_key: *secret, public_key: None };
                pair.to_pkcs8_pem(LineEnding::LF).map_err(|error| error.to_string())
            }
            SigningAlgorithm::Es256 => loop {
                runtime::fill_random(secret.as_mut_slice());
                // Almost every number of 256 bits is a valid key; one in 2^32 is not.
                if let Ok(key) = p256::SecretKey::from_slice(secret.as_slice()) {
                    let pem = key.to_pkcs8_pem(p256::pkcs8::LineEnding::LF);
                    return pem.map(|pem| Zeroizing::new(pem.to_string())).map_err(|error| error.to_string());
                }
            },
        }
    }

    /// Reads a key from PKCS#8 PEM.
    pub(crate) fn from_pem(pem: &str) -> Result<Self, String> {
        if let Ok(key) = ed25519_dalek::SigningKey::from_pkcs8_pem(pem) {
            let der = key.to_pkcs8_der().map_err(|error| error.to_string())?;
            let x = BASE64URL.encode(key.verifying_key().to_bytes());
            let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
            let encoding = EncodingKey::from_ed_der(der.as_bytes());
            return Self::new(SigningAlgorithm::EdDsa, encoding, &canonical, |kid| Jwk::ed25519(kid, x));
        }
        let key = p256::SecretKey::from_pkcs8_pem(pem)
            .map_err(|_| "expected an Ed25519 or P-256 private key in PKCS#8 PEM".to_owned())?;
        let der = key.to_pkcs8_der().map_err(|error| error.to_string())?;
        let point = key.public_key().to_encoded_point(false);
        let (Some(x), Some(y)) = (point.x(), point.y()) else {
            return Err("a public key without coordinates".to_owned());
        };
        let (x, y) = (BASE64URL.encode(x), BASE64URL.encode(y));
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let encoding = EncodingKey::from_ec_der(der.as_bytes());
        Self::new(SigningAlgorithm::Es256, encoding, &canonical, |kid| Jwk::p256(kid, x, y))
    }

    fn new(
        algorithm: SigningAlgorithm,
        encoding: EncodingKey,
        canonical: &str,
        jwk: impl FnOnce(String) -> Jwk,
    ) -> Result<Self, String> {
        let kid = BASE64URL.encode(Sha256::digest(canonical));
        let jwk = jwk(kid.clone());
        Ok(Self {
            kid,
            algorithm,
            encoding,
            verifying: VerifyingKey::from_jwk(&jwk).ok_or("a public key that cannot verify")?,
            signs_from: Some(Timestamp::MIN),
            jwk,
        })
    }
}

impl Keyring {
    /// Creates a keyring of `keys`, the oldest first, and those that do not sign yet last; `None` if none may sign.
    pub(crate) fn new(keys: Vec<SigningKey>) -> Option<Self> {
        let may_sign = keys.iter().any(|key| key.signs_from.is_some());
        may_sign.then_some(Self(keys))
    }

    /// The key that signs at `now`: the last one whose time has come, or else the first one.
    pub(crate) fn signing(&self, now: Timestamp) -> Option<&SigningKey> {
        let has_come = |key: &&SigningKey| key.signs_from.is_some_and(|from| from <= now);
        let mut keys = self.0.iter();
        keys.rfind(has_come).or_else(|| self.0.iter().find(|key| key.signs_from.is_some()))
    }

    pub(crate) fn get(&self, kid: &str) -> Option<&SigningKey> {
        self.0.iter().find(|key| key.kid == kid)
    }

    pub(crate) fn kids(&self) -> Vec<&str> {
        self.0.iter().map(|key| key.kid.as_str()).collect()
    }

    /// The public keys, the newest first.
    pub(crate) fn jwks(&self) -> Jwks {
        Jwks { keys: self.0.iter().rev().map(|key| key.jwk.clone()).collect() }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `openssl genpkey -algorithm ed25519`
    const OPENSSL: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";

    const P256_OF_OPENSSL: &str = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg47yXmCttuBffmoBP\nS/Wfs198A/qyZ5X8PmGN1G0ey5ihRANCAAT6JK+oWIZBcTGpNpPymKEtRQeEx5ZJ\nyUZAEZK4VEgyhvU6lCRLhqtHwUg0EM3Usq17rCgpd50obHG3dXWh7p1T\n-----END PRIVATE KEY-----\n";

    #[test]
    fn reads_the_example_of_rfc_8037() {
        let key = SigningKey::from_pem(OPENSSL).unwrap();
        assert_eq!(key.jwk.x, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        assert_eq!(key.kid, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn what_it_generates_it_reads() {
        for algorithm in [SigningAlgorithm::EdDsa, SigningAlgorithm::Es256] {
            let pem = SigningKey::generate(algorithm).unwrap();
            assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n"));
            let key = SigningKey::from_pem(&pem).unwrap();
            assert_eq!(key.algorithm, algorithm);
            assert_eq!(key.jwk.alg, algorithm.name());
            let other = SigningKey::from_pem(&SigningKey::generate(algorithm).unwrap()).unwrap();
            assert_ne!(key.kid, other.kid);
        }
    }

    /// `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`
    #[test]
    fn reads_a_p256_key_of_openssl() {
        let key = SigningKey::from_pem(P256_OF_OPENSSL).unwrap();
        assert_eq!((key.algorithm, key.jwk.kty.as_str()), (SigningAlgorithm::Es256, "EC"));
    }

    #[test]
    fn a_key_signs_once_its_time_has_come_and_none_before_it_is_told_to() {
        let at = Timestamp::from_micros;
        let key = |signs_from| SigningKey {
            signs_from,
            ..SigningKey::from_pem(&SigningKey::generate(SigningAlgorithm::EdDsa).unwrap()).unwrap()
        };
        let ring = Keyring::new(vec![key(Some(at(10))), key(Some(at(20))), key(None)]).unwrap();
        let kids: Vec<_> = ring.kids().into_iter().map(str::to_owned).collect();
        for (now, signing) in [(5, 0), (10, 0), (19, 0), (20, 1), (99, 1)] {
            assert_eq!(ring.signing(at(now)).unwrap().kid, kids[signing], "{now}");
        }
        assert!(Keyring::new(vec![key(None)]).is_none());
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
        let keys =
            || [OPENSSL.to_owned(), SigningKey::generate(SigningAlgorithm::EdDsa).unwrap().to_string()];
        let pems = keys();
        let ring = Keyring::new(pems.iter().map(|pem| SigningKey::from_pem(pem).unwrap()).collect()).unwrap();
        let newest = SigningKey::from_pem(&pems[1]).unwrap();
        assert_eq!(ring.signing(Timestamp::MAX).unwrap().kid, newest.kid);
        assert_eq!(serde_json::to_value(ring.jwks()).unwrap()["keys"][0]["kid"], newest.kid);
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
