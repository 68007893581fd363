//! `POST /auth/login`: begins a session.

use std::{collections::HashSet, sync::Arc};

use api_types::{TokenType, Tokens};
use auth_client::Revocation;
use axum::{extract::State, response::Response};
use events::{
    Account, Actor, EmailAddress, EndReason, MAX_OPEN_SESSIONS, SecretHash, Session, SessionId,
    SessionStarted,
};
use http::StatusCode;
use http_api::{Form, JsonObject, Problem, RequestContext, SecurityEvent, text};
use runtime::new_id;
use serde_json::{Map, Value};

use super::{answer, fields};
use crate::{
    auth::Auth,
    command_metadata::CommandMetadata,
    domain::{self, Refusal},
    error::{ApiError, CommandError},
    password::Password,
    throttle::{Attempt, Standing},
    token::{Issued, RefreshToken},
};

/// How often a password is verified again because its hash changed meanwhile.
const ATTEMPTS: usize = 3;

#[derive(Debug)]
struct Request {
    /// As it was sent.
    text: String,
    /// `None` for a text that is no address: then no account has it.
    email: Option<EmailAddress>,
    password: Arc<Password>,
}

impl Request {
    fn read(body: Map<String, Value>) -> Result<Self, Problem> {
        let mut form = Form::new(body);
        let email = form.required("email", |value| {
            text(value).map(|text| (text.to_owned(), EmailAddress::parse(text).ok()))
        });
        let password = form.required("password", fields::password);
        form.finish()?;
        let (Some((text, email)), Some(password)) = (email, password) else {
            return Err(Problem::internal());
        };
        Ok(Self {
            text,
            email,
            password,
        })
    }
}

pub(crate) async fn login(
    State(auth): State<Arc<Auth>>,
    context: RequestContext,
    body: JsonObject,
) -> Result<Response, ApiError> {
    let request = Request::read(body.fields)?;
    let outcome = begin_session(&auth, &context, &request).await;
    auth.counters.login(match &outcome {
        Ok(_) => "success",
        Err(ApiError::Refused(Refusal::AccountIsDisabled)) => "account_disabled",
        Err(ApiError::Refused(Refusal::AttemptsAreTooMany { .. })) => "too_many_attempts",
        Err(ApiError::Refused(_)) => "bad_credentials",
        Err(ApiError::Failed(_) | ApiError::Bad(_)) => "failed",
    });
    outcome
}

async fn begin_session(
    auth: &Auth,
    context: &RequestContext,
    request: &Request,
) -> Result<Response, ApiError> {
    let id = SessionId(new_id());
    let attempt = match &request.email {
        Some(email) => Attempt::at_email(&auth.pepper, email, context),
        // No account can have it, and whoever sends it must not learn that from what is counted.
        None => Attempt::new(&auth.pepper, "login", &request.text, context),
    };
    let (account, metadata) = open_session(auth, context, request, &attempt, id).await?;
    let refresh_token = RefreshToken::generate(id, 0, &auth.pepper);
    let started = auth
        .sessions
        .execute(&id, &metadata.about(account.id), |session, now| {
            let started = SessionStarted {
                account: account.id,
                refresh_hash: refresh_token.hash(),
                expires_at: now.plus_seconds(auth.refresh_ttl_seconds),
                ip: context.client_ip.clone(),
                user_agent: context.user_agent.clone().map(String::from),
            };
            Ok::<_, Refusal>(domain::session::start(session, &started))
        })
        .await?;
    let session = started.state.ok_or(Refusal::SessionIsUnknown)?;
    SecurityEvent::success("login")
        .actor(account.id)
        .subject(account.id)
        .record();
    tracing::info!(account.id = %account.id, session.id = %id, "logged in");
    let issued = auth.issue(&account, id, session.expires_at)?;
    Ok(token_answer(
        auth,
        account,
        &session,
        &issued,
        &refresh_token,
        started.position,
    ))
}

/// Opens the session `id` for the account whose address and password these are. The account is compared with the one
/// whose password was verified by the append that opens the session, so that nobody gets in by a password that was
/// changed, or with an account that was disabled, in between.
async fn open_session(
    auth: &Auth,
    context: &RequestContext,
    request: &Request,
    attempt: &Attempt,
    id: SessionId,
) -> Result<(Account, CommandMetadata), ApiError> {
    let mut attempts = 1..=ATTEMPTS;
    loop {
        let (account, rehashed, standing) = authenticate(auth, attempt, request).await?;
        let metadata = CommandMetadata::new(Actor::User(account.id), context);
        let ended = ended_sessions(auth, &account).await?;
        let opened = auth
            .change_account(account.id, &metadata, |now| {
                domain::account::open_session(now, &account.password_hash, rehashed.as_ref(), id, &ended)
            })
            .await;
        match opened {
            // Another login may have hashed the same password again.
            Err(CommandError::Refused(Refusal::PasswordHasChanged)) if attempts.next().is_some() => {}
            Ok(opened) => {
                auth.throttle.succeeded(attempt, &standing).await;
                auth.end_closed_sessions(&opened, EndReason::Logout, &metadata.by_system())
                    .await;
                for closed in opened.closed {
                    auth.revoke(Revocation::Session(closed)).await;
                }
                return Ok((opened.account, metadata));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Which of the open sessions have ended by themselves. Looked up only when the account has as many as it may.
async fn ended_sessions(auth: &Auth, account: &Account) -> Result<Vec<SessionId>, ApiError> {
    if account.open_sessions.len() < MAX_OPEN_SESSIONS {
        return Ok(Vec::new());
    }
    let now = auth.clock.now();
    let open = auth.open_sessions(account).await?;
    let live: HashSet<_> = open
        .into_iter()
        .filter_map(|session| session.state.filter(|session| session.is_live(now)))
        .map(|session| session.id)
        .collect();
    let ended = account.open_sessions.iter().filter(|id| !live.contains(id));
    Ok(ended.copied().collect())
}

/// The account whose address and password these are, and the password hashed again if its hash is weaker than those
/// made today.
async fn authenticate(
    auth: &Auth,
    attempt: &Attempt,
    request: &Request,
) -> Result<(Account, Option<SecretHash>, Standing), ApiError> {
    let find = async || match &request.email {
        Some(email) => auth.account_of(email).await,
        None => Ok(None),
    };
    let proven = auth.prove_password(attempt, &[&request.password], find).await?;
    let account = proven.account;
    if account.disabled {
        SecurityEvent::failure(attempt.event, "account_disabled")
            .subject(account.id)
            .counted_as(attempt.key())
            .record();
        return Err(Refusal::AccountIsDisabled.into());
    }
    if !proven.is_outdated {
        return Ok((account, None, proven.standing));
    }
    let rehashed = match auth.hasher.hash(&proven.slot, &request.password).await {
        Ok(hash) => Some(hash.into()),
        // The next login tries again.
        Err(error) => {
            tracing::warn!(%error, account.id = %account.id, "a password was not hashed again");
            None
        }
    };
    Ok((account, rehashed, proven.standing))
}

/// The answer of login and refresh.
pub(crate) fn token_answer(
    auth: &Auth,
    account: Account,
    session: &Session,
    issued: &Issued,
    refresh_token: &RefreshToken,
    position: u64,
) -> Response {
    let left = session.expires_at.as_micros() - auth.clock.now().as_micros();
    let id = account.id;
    let body = Tokens {
        access_token: issued.token.clone(),
        token_type: TokenType::Bearer,
        expires_in: issued.expires_in,
        refresh_token: refresh_token.text().to_owned(),
        // Rounded: the clock went on a little since the session began.
        refresh_expires_in: (left + 500_000).div_euclid(1_000_000),
        user: account.into(),
    };
    answer::json(StatusCode::OK, &body, id, position)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_no_address_is_no_mistake_of_form() {
        let body = serde_json::json!({"email": "nobody", "password": "x"});
        let Value::Object(body) = body else {
            panic!("not an object")
        };
        assert!(Request::read(body).unwrap().email.is_none());
    }

    #[test]
    fn failures_are_shown_without_passwords() {
        let body = serde_json::json!({"email": "ada@example.com", "password": "plum tractor canyon"});
        let Value::Object(body) = body else {
            panic!("not an object")
        };
        assert!(!format!("{:?}", Request::read(body).unwrap()).contains("plum"));
    }
}
