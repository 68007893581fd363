//! Who sends a request, as far as the front door needs to know.

use std::sync::Arc;

use auth_client::{Identity, Verifier, VerifyError, program_token_name};
use events::UserId;
use http::{HeaderMap, header};

/// Who is calling.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    /// Their token is good now.
    Verified(Arc<Identity>),
    /// Nobody can be asked whether their session is live, but the signature of the token is good. That is enough to know
    /// whose state a request leads to or is to show: the role behind judges the token before it does or shows anything, and
    /// otherwise people would not find their own writes whenever auth is away for a moment.
    Signed(UserId),
}

impl Caller {
    /// Whose token a request with these headers carries.
    pub(crate) async fn of(verifier: &Verifier, headers: &HeaderMap) -> Option<Self> {
        let token = bearer(headers)?;
        match verifier.verify(token).await {
            Ok(identity) => Some(Self::Verified(identity)),
            Err(VerifyError::Rejected(_)) => None,
            Err(VerifyError::Unavailable(_)) => verifier.subject(token).map(Self::Signed),
        }
    }

    pub(crate) fn user_id(&self) -> UserId {
        match self {
            Self::Verified(identity) => identity.user_id,
            Self::Signed(user_id) => *user_id,
        }
    }
}

/// Whom the token in these headers names, if it was issued here; nobody is asked whether its session is live.
pub(crate) fn signed_subject(verifier: &Verifier, headers: &HeaderMap) -> Option<UserId> {
    verifier.subject(bearer(headers)?)
}

/// Whether these headers carry what has the form of a program token, which no signature tells anything about.
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
