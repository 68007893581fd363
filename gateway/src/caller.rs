//! The sender of a request, as far as the gateway needs to know.

use std::sync::Arc;

use auth_client::{Identity, Verifier, VerifyError, program_token_name};
use events::UserId;
use http::{HeaderMap, header};

/// The caller.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    /// Auth has accepted the token.
    Verified(Arc<Identity>),
    /// Auth cannot be asked, but the signature of the token is valid. That is enough to know whose state a request
    /// changes or reads: the role checks the token before it does anything. Without this, people would not see their
    /// own writes while auth is unavailable.
    Signed(UserId),
}

impl Caller {
    /// The caller of a request with these headers.
    pub(crate) async fn of(verifier: &Verifier, headers: &HeaderMap) -> Option<Self> {
        let token = bearer(headers)?;
        match verifier.verify(token).await {
            Ok(identity) => Some(Self::Verified(identity)),
            Err(VerifyError::Rejected(_)) => None,
            Err(VerifyError::Unavailable(_) | VerifyError::Failed) => {
                verifier.subject(token).map(Self::Signed)
            }
        }
    }

    pub(crate) fn user_id(&self) -> UserId {
        match self {
            Self::Verified(identity) => identity.user_id,
            Self::Signed(user_id) => *user_id,
        }
    }
}

/// The person of the token in these headers, if it was issued here; its session is not checked.
pub(crate) fn signed_subject(verifier: &Verifier, headers: &HeaderMap) -> Option<UserId> {
    verifier.subject(bearer(headers)?)
}

/// Whether these headers have a text in the form of a program token, which has no signature.
pub(crate) fn shows_a_program_token(headers: &HeaderMap) -> bool {
    bearer(headers).and_then(program_token_name).is_some()
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
