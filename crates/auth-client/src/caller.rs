//! Extractors for the authenticated caller. A handler without one serves anyone, which its signature shows.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use events::{Actor, Role, Scope, SessionId, UserId};
use http::{HeaderMap, HeaderValue, header, request::Parts};
use http_api::{AccessNotes, Problem, ProblemCode, SecurityEvent};

use crate::{
    check::VerifyError,
    messages::{Identity, Rejection},
    token::program_token_name,
    verifier::Verifier,
};

/// The caller: the owner of the bearer token (RFC 6750) of this request. It refuses program tokens, so that endpoints
/// accept them only if they use another extractor.
#[derive(Debug, Clone)]
pub struct Caller(pub Arc<Identity>);

impl Caller {
    /// The person who is calling.
    pub fn user_id(&self) -> UserId {
        self.0.user_id
    }

    /// The actor of the events that the caller causes.
    pub fn actor(&self) -> Actor {
        self.0.actor()
    }

    /// Whether they have `role`. An admin may do everything that an auditor may.
    pub fn has_role(&self, role: Role) -> bool {
        self.0.has_role(role)
    }

    /// Requires a role.
    ///
    /// # Errors
    /// `403 forbidden` without it.
    pub fn require(&self, role: Role) -> Result<(), Problem> {
        if self.has_role(role) {
            return Ok(());
        }
        SecurityEvent::denied("role", role.name()).actor(self.user_id()).record();
        Err(Self::role_missing())
    }

    /// `403 forbidden` for a caller without the role that something needs.
    pub fn role_missing() -> Problem {
        Problem::new(ProblemCode::Forbidden)
            .detail("Your account does not have the role that this needs, or this login does not: a role may need a login with a second factor.")
    }
}

/// A caller who is logged in, and the session of the login.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// The person who is calling.
    pub caller: Caller,
    /// The session of the login.
    pub session: SessionId,
}

/// A caller with the role `admin`. Handlers that only admins may use have it in place of [`Caller`], so that the role
/// is checked before the body.
#[derive(Debug, Clone)]
pub struct Admin(pub Caller);

/// A caller who may read the audit trail: a person with the role, or a program whose token has the scope
/// `audit:read`.
#[derive(Debug, Clone)]
pub struct AuditReader(pub Caller);

/// A caller who may own tasks: a person with the role `user`, or a program of such a person. The program's token
/// needs the scope `tasks:read`, and `tasks:write` for methods other than `GET`. Handlers of tasks use it in place of
/// [`Caller`].
#[derive(Debug, Clone)]
pub struct TaskOwner(pub Caller);

impl<S> FromRequestParts<S> for TaskOwner
where
    S: Send + Sync,
    Arc<Verifier>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let scope = if parts.method.is_safe() { Scope::TasksRead } else { Scope::TasksWrite };
        let caller = authenticate(parts, state).await?.within(scope)?;
        caller.require(Role::User)?;
        Ok(Self(caller))
    }
}

impl<S> FromRequestParts<S> for AuditReader
where
    S: Send + Sync,
    Arc<Verifier>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Ok(Self(authenticate(parts, state).await?.within(Scope::AuditRead)?))
    }
}

impl<S> FromRequestParts<S> for SignedIn
where
    S: Send + Sync,
    Arc<Verifier>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let caller = authenticate(parts, state).await?;
        let session = caller.0.credential.session().ok_or_else(|| no_program(&caller))?;
        Ok(Self { caller, session })
    }
}

impl<S> FromRequestParts<S> for Caller
where
    S: Send + Sync,
    Arc<Verifier>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Ok(SignedIn::from_request_parts(parts, state).await?.caller)
    }
}

impl<S> FromRequestParts<S> for Admin
where
    S: Send + Sync,
    Arc<Verifier>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, state).await?;
        caller.require(Role::Admin)?;
        Ok(Self(caller))
    }
}

impl Caller {
    /// Requires that the token has `scope`.
    fn within(self, scope: Scope) -> Result<Self, Problem> {
        if self.0.credential.covers(scope) {
            return Ok(self);
        }
        SecurityEvent::denied("scope", scope.name()).actor(self.user_id()).record();
        let challenge = match scope {
            Scope::TasksRead => r#"Bearer error="insufficient_scope", scope="tasks:read""#,
            Scope::TasksWrite => r#"Bearer error="insufficient_scope", scope="tasks:write""#,
            Scope::AuditRead => r#"Bearer error="insufficient_scope", scope="audit:read""#,
        };
        Err(Problem::new(ProblemCode::Forbidden)
            .detail(format!("This token does not have the scope `{scope}`."))
            .header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge)))
    }
}

/// The caller of a request, with any kind of token.
async fn authenticate<S>(parts: &Parts, state: &S) -> Result<Caller, Problem>
where
    Arc<Verifier>: FromRef<S>,
{
    let token = bearer_token(&parts.headers)?;
    let verifier = Arc::<Verifier>::from_ref(state);
    match verifier.verify(token).await {
        Ok(identity) => {
            AccessNotes::of(&parts.extensions).user(identity.user_id);
            Ok(Caller(identity))
        }
        Err(VerifyError::Rejected(rejection)) => {
            let owner = match rejection {
                Rejection::Malformed => None,
                Rejection::Expired | Rejection::SessionEnded => verifier.owner(token),
            };
            Err(rejected(rejection, program_token_name(token).is_some(), owner))
        }
        Err(VerifyError::Unavailable(reason)) => {
            tracing::warn!(%reason, "a token could not be checked");
            Err(Problem::unavailable("Access tokens cannot be checked at the moment. Try again shortly."))
        }
        Err(error @ VerifyError::Failed) => {
            tracing::error!(%error, account.id = verifier.owner(token).map(tracing::field::display), "a request failed");
            Err(Problem::internal())
        }
    }
}

fn no_program(caller: &Caller) -> Problem {
    SecurityEvent::denied("scope", "program_token").actor(caller.user_id()).record();
    Problem::new(ProblemCode::Forbidden).detail("A program token is not good for this. Log in.")
}

/// The token of `Authorization: Bearer <token>`, for callers that check it again later.
///
/// # Errors
/// `401` when there is none, `400 bad-parameter` when there is more than one.
pub fn bearer_token(headers: &HeaderMap) -> Result<&str, Problem> {
    presented(headers).map_err(|none| match none {
        NoToken::Missing => missing(),
        NoToken::Malformed => rejected(Rejection::Malformed, false, None),
        NoToken::Repeated => Problem::bad_parameter("Authorization", "expected it once"),
    })
}

/// Like [`bearer_token`], for callers that do not refuse a request without one.
pub fn presented_token(headers: &HeaderMap) -> Option<&str> {
    presented(headers).ok()
}

enum NoToken {
    Missing,
    Malformed,
    Repeated,
}

fn presented(headers: &HeaderMap) -> Result<&str, NoToken> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Err(NoToken::Missing);
    };
    if values.next().is_some() {
        return Err(NoToken::Repeated);
    }
    let Ok(text) = value.to_str() else {
        return Err(NoToken::Malformed);
    };
    let (scheme, token) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(NoToken::Missing) }
}

fn missing() -> Problem {
    let detail = "Send an access token as `Authorization: Bearer <token>`. POST /auth/login gives one.";
    Problem::unauthorized(ProblemCode::TokenMissing, detail, None)
}

/// A program cannot log in or refresh: its problem asks for a new token.
fn rejected(rejection: Rejection, is_program: bool, owner: Option<UserId>) -> Problem {
    let reason = match rejection {
        Rejection::Malformed => "malformed",
        Rejection::Expired => "expired",
        Rejection::SessionEnded => "session_ended",
    };
    SecurityEvent::failure("token", reason).subject_if_known(owner).record();
    let (code, detail, description) = match (rejection, is_program) {
        (Rejection::Malformed, _) => (
            ProblemCode::TokenInvalid,
            "The access token is malformed, or was not issued here.",
            "The access token is malformed",
        ),
        (Rejection::Expired, false) => (
            ProblemCode::TokenExpired,
            "The access token has expired. Refresh it, or log in again.",
            "The access token expired",
        ),
        (Rejection::Expired, true) => (
            ProblemCode::TokenExpired,
            "This program token has expired. Make a new one with POST /auth/tokens.",
            "The program token expired",
        ),
        (Rejection::SessionEnded, false) => (
            ProblemCode::SessionEnded,
            "The session of this access token has ended. Log in again.",
            "The session ended",
        ),
        (Rejection::SessionEnded, true) => (
            ProblemCode::SessionEnded,
            "This program token was revoked, or its account was disabled or reset. Make a new one with POST /auth/tokens.",
            "The program token was revoked",
        ),
    };
    Problem::unauthorized(code, detail, Some(description))
}
