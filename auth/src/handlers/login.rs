//! `POST /auth/login`: begins a session.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use events::{Account, Actor, EndReason, Session, SessionId, SessionStarted};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};
use service::{Form, JsonObject, Problem, RequestContext, new_id, text};

use super::{answer, fields, user::UserView};
use crate::{
    auth::Auth,
    domain::{self, EmailAddress, Refusal},
    error::ApiError,
    ledger::{Cause, Loaded},
    password::Password,
    token::{Issued, RefreshToken},
};

#[derive(Debug)]
struct Request {
    /// `None` for a text that is no address: then no account has it.
    email: Option<EmailAddress>,
    password: Arc<Password>,
}

/// The answer of login and refresh.
#[derive(Serialize)]
pub(super) struct TokenBody<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: i64,
    refresh_token: &'a str,
    refresh_expires_in: i64,
    user: UserView,
}

impl Request {
    fn read(body: Map<String, Value>) -> Result<Self, Problem> {
        let mut form = Form::new(body);
        let email = form.required("email", |value| {
            text(value).map(|text| EmailAddress::parse(text).ok())
        });
        let password = form.required("password", fields::password);
        form.finish()?;
        let (Some(email), Some(password)) = (email, password) else {
            return Err(Problem::internal());
        };
        Ok(Self { email, password })
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
    let account = authenticate(auth, context, request).await?;
    let id = SessionId(new_id());
    let refresh_token = RefreshToken::generate(id);
    let cause = Cause::new(Actor::User(account.id), context);
    let started = auth
        .ledger
        .execute::<Session, ()>(&id, account.id, &cause, |session, now| {
            let started = SessionStarted {
                account: account.id,
                refresh_hash: refresh_token.hash(),
                expires_at: now.plus_seconds(auth.refresh_ttl_seconds),
                ip: context.client_ip.clone(),
                user_agent: context.user_agent.clone().map(String::from),
            };
            Ok((domain::session::start(session, &started), ()))
        })
        .await?;
    let session = started.state.ok_or(Refusal::SessionIsUnknown)?;
    let account = confirm(auth, &cause, request, account, &session).await?;
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

/// The account whose address and password these are.
async fn authenticate(auth: &Auth, context: &RequestContext, request: &Request) -> Result<Account, ApiError> {
    let account = match &request.email {
        Some(email) => auth.account_of(email).await?,
        None => None,
    };
    let hash = account.as_ref().map(|account| account.password_hash.as_str());
    let verified = auth.hasher.verify(&request.password, hash).await?;
    let account = account
        .filter(|_| verified.matches)
        .ok_or(Refusal::CredentialsAreWrong)?;
    if account.disabled {
        return Err(Refusal::AccountIsDisabled.into());
    }
    if verified.is_outdated {
        return Ok(renew_hash(auth, context, request, account).await);
    }
    Ok(account)
}

/// Replaces a hash that is weaker than those made today. If that fails, the next login tries again.
async fn renew_hash(auth: &Auth, context: &RequestContext, request: &Request, account: Account) -> Account {
    let Ok(hash) = auth.hasher.hash(&request.password).await else {
        return account;
    };
    let cause = Cause::new(Actor::User(account.id), context).by_system();
    let decide = |now: Option<&Account>| domain::account::change_password(now, &account.password_hash, &hash);
    match auth.change_account(account.id, &cause, decide).await {
        Ok((renewed, _)) => renewed,
        Err(error) => {
            tracing::warn!(%error, account.id = %account.id, "a password was not hashed anew");
            account
        }
    }
}

/// Looks at the account once more, now that the session is in the log. Had the password been changed or the
/// account disabled while the password was being verified, whoever did that may have looked for sessions to
/// end before this one began.
async fn confirm(
    auth: &Auth,
    cause: &Cause,
    request: &Request,
    before: Account,
    session: &Session,
) -> Result<Account, ApiError> {
    let Loaded { state, version, .. } = auth.ledger.load::<Account>(&before.id).await?;
    if version == before.version {
        return Ok(before);
    }
    let refuse = |reason, refusal: Refusal| async move {
        auth.end_session(session.id, before.id, reason, &cause.by_system())
            .await?;
        Err(ApiError::from(refusal))
    };
    let Some(account) = state.filter(|account| !account.erased) else {
        return refuse(EndReason::Erased, Refusal::CredentialsAreWrong).await;
    };
    if account.disabled {
        return refuse(EndReason::Disabled, Refusal::AccountIsDisabled).await;
    }
    if account.password_hash != before.password_hash {
        let verified = auth
            .hasher
            .verify(&request.password, Some(&account.password_hash))
            .await;
        if !verified.is_ok_and(|verified| verified.matches) {
            return refuse(EndReason::PasswordChanged, Refusal::CredentialsAreWrong).await;
        }
    }
    Ok(account)
}

/// The answer of login and refresh.
pub(super) fn token_answer(
    auth: &Auth,
    account: Account,
    session: &Session,
    issued: &Issued,
    refresh_token: &RefreshToken,
    position: u64,
) -> Response {
    let left = session.expires_at.as_micros() - auth.clock.now().as_micros();
    let id = account.id;
    let body = TokenBody {
        access_token: &issued.token,
        token_type: "Bearer",
        expires_in: issued.expires_in,
        refresh_token: refresh_token.text(),
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
