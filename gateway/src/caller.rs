//! Who sends a request, as far as the front door needs to know.

use auth_client::{Verifier, VerifyError};
use events::UserId;
use http::{HeaderMap, header};

/// Whose state a request with these headers leads to or is to show. While nobody can be asked whether a session is live,
/// a token with a good signature is enough: the role behind judges it before it does or shows anything, and otherwise
/// people would not find their own writes whenever auth is away for a moment.
pub(crate) async fn caller(verifier: &Verifier, headers: &HeaderMap) -> Option<UserId> {
    let token = bearer(headers)?;
    match verifier.verify(token).await {
        Ok(identity) => Some(identity.user_id),
        Err(VerifyError::Rejected(_)) => None,
        Err(VerifyError::Unavailable(_)) => verifier.subject(token),
    }
}

/// The token of `Authorization: Bearer <token>`, if there is exactly one such header.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut sent = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (sent.next(), sent.next()) else {
        return None;
    };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
