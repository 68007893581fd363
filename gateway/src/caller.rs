//! Who sends a request, as far as the front door needs to know.

use auth_client::{Verifier, VerifyError};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use events::UserId;
use http::{HeaderMap, header};
use serde::Deserialize;

/// The claim of an access token (RFC 7519, section 4.1.2) that names the caller.
#[derive(Deserialize)]
struct Claims {
    sub: UserId,
}

/// Whose state a request with these headers leads to or is to show. Judging tokens is not this role's duty: while
/// nobody can be asked, a token is taken at its word, since the role behind judges it before it does or shows
/// anything. Otherwise people would not find their own writes whenever auth is away for a moment.
pub(crate) async fn caller(verifier: &Verifier, headers: &HeaderMap) -> Option<UserId> {
    let authorization = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = authorization.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    match verifier.verify(token.trim()).await {
        Ok(identity) => Some(identity.user_id),
        Err(VerifyError::Rejected(_)) => None,
        Err(VerifyError::Unavailable(_)) => claimed(token.trim()),
    }
}

fn claimed(token: &str) -> Option<UserId> {
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    Some(claims.sub)
}
