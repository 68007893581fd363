//! The claims of an access token, and their verification: signature, header and times (RFC 7519, RFC 8725, RFC 9068).
//! Used by auth, which issues tokens, and by the roles that receive them.

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use events::{AuthenticationMethod, Role, SessionId, Timestamp, UserId};
use jsonwebtoken::{Algorithm, Validation, decode};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{jwk::VerifyingKey, messages::Rejection};

/// `iss` and `aud` of access tokens.
pub const ISSUER: &str = "taskledger";

/// `typ` of the header of an access token (RFC 9068, section 2.1).
pub const TOKEN_TYPE: &str = "at+jwt";

/// The claims of an access token. Times are seconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The issuer.
    pub iss: String,
    /// The audience that the token is meant for.
    pub aud: String,
    /// The person who has the token.
    pub sub: UserId,
    /// The e-mail address of the person.
    pub email: String,
    /// The roles of the person when it was issued.
    pub roles: BTreeSet<Role>,
    /// The session that the token belongs to.
    pub sid: SessionId,
    /// The client that the token was issued to (RFC 9068): this system itself, since people log in with it directly.
    #[serde(default)]
    pub client_id: String,
    /// How the person was authenticated (RFC 8176).
    #[serde(default)]
    pub amr: BTreeSet<AuthenticationMethod>,
    /// When the person logged in.
    #[serde(default)]
    pub auth_time: i64,
    /// When it was issued.
    pub iat: i64,
    /// The token is not valid before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// When it expires.
    pub exp: i64,
    /// The id of the token.
    pub jti: Uuid,
}

impl Claims {
    /// When the token expires.
    pub fn expires_at(&self) -> Timestamp {
        Timestamp::from_micros(self.exp.saturating_mul(1_000_000))
    }
}

/// The only header that is accepted. All other members (`jku`, `jwk`, `x5u`, `crit`, `b64`, `zip`) would ask for
/// features that are not supported.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

/// The issuer and the audience that tokens must have.
#[derive(Debug, Clone)]
pub struct TokenRules {
    validation: Validation,
}

impl TokenRules {
    /// Accepts tokens that `issuer` issued for `audience`.
    pub fn new(issuer: &str, audience: &str) -> Self {
        // Only the algorithm of the key is accepted, whatever the header of a token says.
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        // The library would use the machine's clock; the expiry is checked with our clock below.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Self { validation }
    }

    /// The claims of `token`, if `key` has signed it, even if it has expired or is not valid yet.
    ///
    /// # Errors
    /// When the signature or the header is wrong.
    pub fn genuine(&self, token: &str, key: &VerifyingKey) -> Result<Claims, Rejection> {
        let mut validation = self.validation.clone();
        // The key decides, not the header of the token.
        validation.algorithms = vec![key.algorithm];
        let decoded = decode::<Claims>(token, &key.key, &validation);
        decoded.map(|data| data.claims).map_err(|_| Rejection::Malformed)
    }

    /// The claims of `token`, if `key` has signed it and it is valid at `now`. The caller has to check that its
    /// session is live.
    ///
    /// # Errors
    /// When the token is invalid.
    pub fn verify(&self, token: &str, key: &VerifyingKey, now: Timestamp) -> Result<Claims, Rejection> {
        let claims = self.genuine(token, key)?;
        let seconds = now.as_seconds();
        let latest = seconds.saturating_add(Timestamp::CLOCK_LEEWAY_SECONDS);
        if claims.exp <= seconds {
            return Err(Rejection::Expired);
        }
        if claims.nbf.unwrap_or(claims.iat).max(claims.iat) > latest {
            return Err(Rejection::Malformed);
        }
        Ok(claims)
    }
}

/// The id of the key that `token` claims to be signed with.
///
/// # Errors
/// When its header is not that of an access token.
pub fn key_id(token: &str) -> Result<String, Rejection> {
    let header = token.split('.').next().unwrap_or_default();
    let header = BASE64URL.decode(header).map_err(|_| Rejection::Malformed)?;
    let header: Header = serde_json::from_slice(&header).map_err(|_| Rejection::Malformed)?;
    let is_known = matches!(header.alg.as_str(), "EdDSA" | "ES256");
    if is_known && header.typ == TOKEN_TYPE { Ok(header.kid) } else { Err(Rejection::Malformed) }
}
