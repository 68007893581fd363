//! The extractor that hands a handler the person who is calling. A handler without it serves anyone, which
//! is visible in its signature.

use std::{ops::Deref, sync::Arc};

use axum::extract::{FromRef, FromRequestParts};
use events::{Role, UserId};
use http::{HeaderMap, HeaderValue, header, request::Parts};
use http_api::{Problem, ProblemCode};

use crate::{
    messages::{Identity, Rejection},
    verifier::{Verifier, VerifyError},
};

/// Who is calling: the owner of the bearer token (RFC 6750) of this request.
#[derive(Debug, Clone)]
pub struct Caller(pub Arc<Identity>);

impl Caller {
    /// Who.
    #[must_use]
    pub fn user_id(&self) -> UserId {
        self.0.user_id
    }

    /// Whether they have `role`. An admin may everything an auditor may.
    #[must_use]
    pub fn has_role(&self, role: Role) -> bool {
        self.0.has_role(role)
    }

    /// Insists on a role.
    ///
    /// # Errors
    /// `403 forbidden` without it.
    pub fn require(&self, role: Role) -> Result<(), Problem> {
        if self.has_role(role) {
            return Ok(());
        }
        Err(Problem::new(ProblemCode::Forbidden)
            .detail("Your account does not have the role that this needs."))
    }
}

/// A caller who may own tasks: one with the role `user`. A handler of tasks takes it in place of a [`Caller`].
#[derive(Debug, Clone)]
pub struct TaskOwner(pub Caller);

impl Deref for TaskOwner {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.0
    }
}

impl<S> FromRequestParts<S> for TaskOwner
where
    S: Send + Sync,
    Arc<Verifier>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, state).await?;
        caller.require(Role::User)?;
        Ok(Self(caller))
    }
}

impl<S> FromRequestParts<S> for Caller
where
    S: Send + Sync,
    Arc<Verifier>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let token = bearer_token(&parts.headers)?;
        match Arc::<Verifier>::from_ref(state).verify(token).await {
            Ok(identity) => Ok(Self(identity)),
            Err(VerifyError::Rejected(rejection)) => Err(rejected(rejection)),
            Err(VerifyError::Unavailable(reason)) => {
                tracing::warn!(%reason, "a token could not be checked");
                Err(Problem::unavailable(
                    "Access tokens cannot be checked at the moment. Try again shortly.",
                ))
            }
        }
    }
}

/// The token of `Authorization: Bearer <token>`.
fn bearer_token(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Err(missing());
    };
    if values.next().is_some() {
        return Err(rejected(Rejection::Malformed));
    }
    let Ok(text) = value.to_str() else {
        return Err(rejected(Rejection::Malformed));
    };
    let (scheme, token) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok(token.trim())
    } else {
        Err(missing())
    }
}

fn missing() -> Problem {
    Problem::new(ProblemCode::TokenMissing)
        .detail("Send an access token as `Authorization: Bearer <token>`. POST /auth/login gives one.")
        .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

fn rejected(rejection: Rejection) -> Problem {
    let (code, challenge) = match rejection {
        Rejection::Malformed => (
            ProblemCode::TokenInvalid,
            r#"Bearer error="invalid_token", error_description="The access token is malformed""#,
        ),
        Rejection::Expired => (
            ProblemCode::TokenExpired,
            r#"Bearer error="invalid_token", error_description="The access token expired""#,
        ),
        Rejection::SessionEnded => (
            ProblemCode::SessionEnded,
            r#"Bearer error="invalid_token", error_description="The session ended""#,
        ),
    };
    Problem::new(code)
        .detail(rejection.to_string())
        .header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
}
