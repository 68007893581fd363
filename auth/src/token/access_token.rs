//! Access tokens: JWTs (RFC 9068) signed with Ed25519 or ECDSA.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use auth_client::{Claims, Rejection, TOKEN_TYPE, TokenRules, key_id};
use events::{Role, Session, Timestamp, UserId};
use jsonwebtoken::{Header, encode};
use parking_lot::RwLock;
use uuid::Uuid;

use crate::keys::Keyring;

/// A new token.
pub(crate) struct Issued {
    pub(crate) token: String,
    /// Its lifetime in seconds.
    pub(crate) expires_in: i64,
}

/// The owner of a token, with their roles.
pub(crate) struct Owner {
    pub(crate) id: UserId,
    pub(crate) email: String,
    pub(crate) roles: BTreeSet<Role>,
}

/// Issues and verifies access tokens.
#[derive(Debug)]
pub(crate) struct AccessTokens {
    keyring: RwLock<Arc<Keyring>>,
    issuer: String,
    audience: String,
    ttl_seconds: i64,
    rules: TokenRules,
}

impl AccessTokens {
    pub(crate) fn new(keyring: Keyring, issuer: String, audience: String, ttl: Duration) -> Self {
        let ttl_seconds = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
        Self {
            rules: TokenRules::new(&issuer, &audience),
            keyring: RwLock::new(Arc::new(keyring)),
            issuer,
            audience,
            ttl_seconds,
        }
    }

    pub(crate) fn keyring(&self) -> Arc<Keyring> {
        Arc::clone(&self.keyring.read())
    }

    pub(crate) fn replace_keyring(&self, keyring: Keyring) {
        *self.keyring.write() = Arc::new(keyring);
    }

    /// A token for `owner` in `session`, which expires no later than the session.
    pub(crate) fn issue(
        &self,
        owner: &Owner,
        session: &Session,
        now: Timestamp,
        id: Uuid,
    ) -> Result<Issued, jsonwebtoken::errors::Error> {
        let keyring = self.keyring();
        let key = keyring.signing(now).ok_or(jsonwebtoken::errors::ErrorKind::InvalidEddsaKey)?;
        let iat = now.as_seconds();
        let exp = (iat + self.ttl_seconds).min(session.ends_at().as_seconds());
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: owner.id,
            email: owner.email.clone(),
            roles: owner.roles.clone(),
            sid: session.id,
            client_id: self.issuer.clone(),
            amr: session.methods.clone(),
            auth_time: session.started_at.as_seconds(),
            iat,
            nbf: None,
            exp,
            jti: id,
        };
        let mut header = Header::new(key.algorithm.of_header());
        header.typ = Some(TOKEN_TYPE.to_owned());
        header.kid = Some(key.kid.clone());
        Ok(Issued { token: encode(&header, &claims, &key.encoding)?, expires_in: exp - iat })
    }

    /// The claims of `token`, if it was issued here and is valid at `now`. The caller has to check that its session
    /// is live.
    pub(crate) fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, Rejection> {
        let keyring = self.keyring();
        let key = keyring.get(&key_id(token)?).ok_or(Rejection::Malformed)?;
        self.rules.verify(token, &key.verifying, now)
    }

    /// The claims of `token`, if it was issued here, even if it has expired.
    pub(crate) fn genuine(&self, token: &str) -> Option<Claims> {
        let keyring = self.keyring();
        let key = keyring.get(&key_id(token).ok()?)?;
        self.rules.genuine(token, &key.verifying).ok()
    }

    /// Whether `token` names an unknown key, for example a newer one of another replica.
    pub(crate) fn misses_key_of(&self, token: &str) -> bool {
        key_id(token).is_ok_and(|kid| self.keyring().get(&kid).is_none())
    }
}

#[cfg(test)]
mod tests;
