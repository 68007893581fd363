//! `POST /auth/login`: begins a session.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use events::{Account, Actor, AuthenticationMethod, EmailAddress, SecretHash, SessionId, UserId};
use http_api::{Form, JsonObject, Problem, RequestContext, SecurityEvent, text};
use runtime::new_id;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{fields, session_start};
use crate::{
    app_state::App,
    command_metadata::CommandMetadata,
    domain::{self, Refusal},
    error::{ApiError, CommandError},
    password::Password,
    throttle::{Attempt, FailureCounters},
    token::MfaToken,
};

/// How often a password is verified again because its hash changed meanwhile.
const ATTEMPTS: usize = 3;

#[derive(Debug)]
struct Request {
    /// The address as it was sent.
    text: String,
    /// The parsed address; `None` for an invalid one, which no account has.
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
        let ((text, email), password) = form.finish_with(email.zip(password))?;
        Ok(Self { text, email, password })
    }
}

pub(crate) async fn login(
    State(app): State<Arc<App>>,
    context: RequestContext,
    body: JsonObject,
) -> Result<Response, ApiError> {
    let request = Request::read(body.fields)?;
    let outcome = begin_session(&app, &context, &request).await;
    app.counters.login(match &outcome {
        Ok(_) => "success",
        Err(ApiError::SecondFactorRequired(_)) => "second_factor_required",
        Err(ApiError::Refused(Refusal::AccountIsDisabled)) => "account_disabled",
        Err(ApiError::Refused(Refusal::AttemptsAreTooMany { .. })) => "too_many_attempts",
        Err(ApiError::Refused(_)) => "bad_credentials",
        Err(ApiError::Failed(_) | ApiError::Bad(_)) => "failed",
    });
    outcome
}

async fn begin_session(app: &App, context: &RequestContext, request: &Request) -> Result<Response, ApiError> {
    let id = SessionId(new_id());
    let attempt = match &request.email {
        Some(email) => Attempt::at_email(&app.pepper, email, context),
        // No account can have it. The counters must not reveal that.
        None => Attempt::new(&app.pepper, "login", &request.text, context),
    };
    let (account, metadata) = open_session(app, context, request, &attempt, id).await?;
    session_start::start(app, context, account, id, [AuthenticationMethod::Pwd].into(), &metadata).await
}

/// Opens the session `id` for the account with this address and password. The append that opens the session compares
/// the account with the verified password, so that a changed password or a disabled account cannot log in.
async fn open_session(
    app: &App,
    context: &RequestContext,
    request: &Request,
    attempt: &Attempt,
    id: SessionId,
) -> Result<(Account, CommandMetadata), ApiError> {
    let mut attempts = 1..=ATTEMPTS;
    loop {
        let (account, rehashed, counters) = authenticate(app, attempt, request).await?;
        let metadata = CommandMetadata::new(Actor::User(account.id), context);
        let ended = session_start::ended_sessions(app, &account).await?;
        let opened = app
            .accounts
            .change(account.id, &metadata, |now| {
                domain::account::open_session(now, &account.password_hash, rehashed.as_ref(), id, &ended)
            })
            .await;
        match opened {
            // Another login may have rehashed the same password.
            Err(CommandError::Refused(Refusal::PasswordHasChanged)) if attempts.next().is_some() => {}
            Err(CommandError::Refused(Refusal::SecondFactorIsRequired)) => {
                SecurityEvent::success("first_factor").subject(account.id).record();
                // Codes are counted separately.
                succeeded(app, attempt, &counters, &account).await;
                let demanded = demand_code(app, &account, rehashed.as_ref(), id, &metadata).await;
                return Err(match demanded {
                    Ok(token) => ApiError::SecondFactorRequired(token),
                    Err(error) => refused(attempt, account.id, error),
                });
            }
            Ok(opened) => {
                succeeded(app, attempt, &counters, &account).await;
                session_start::end_crowded_out(app, &opened, &metadata).await;
                return Ok((opened.account, metadata));
            }
            Err(error) => return Err(refused(attempt, account.id, error)),
        }
    }
}

/// The refusal of a login whose password was right, which is written to the security log.
fn refused(attempt: &Attempt, account: UserId, error: CommandError) -> ApiError {
    let (reason, refusal) = match error {
        CommandError::Refused(refusal @ Refusal::AccountIsDisabled) => ("account_disabled", refusal),
        // The person was erased at this moment.
        CommandError::Refused(Refusal::AccountIsUnknown) => ("bad_credentials", Refusal::CredentialsAreWrong),
        CommandError::Refused(refusal) => ("bad_credentials", refusal),
        CommandError::Failed(failure) => return failure.into(),
    };
    SecurityEvent::failure(attempt.event, reason).subject(account).counted_as(attempt.key()).record();
    refusal.into()
}

/// Clears the failures after the password was shown, of the account and of its sessions.
async fn succeeded(app: &App, attempt: &Attempt, counters: &FailureCounters, account: &Account) {
    app.throttle.succeeded(attempt, counters).await;
    app.throttle.forgive_sessions(&app.pepper, account.id).await;
}

/// The token with which a login that needs a code continues. It has the whole state of the login.
async fn demand_code(
    app: &App,
    account: &Account,
    rehashed: Option<&SecretHash>,
    session: SessionId,
    metadata: &CommandMetadata,
) -> Result<Zeroizing<String>, CommandError> {
    let account = match rehashed {
        None => account.clone(),
        Some(hash) => {
            let noted = app
                .accounts
                .change(account.id, metadata, |now| {
                    domain::account::rehash(now, &account.password_hash, hash)
                })
                .await?;
            noted.account
        }
    };
    let factor = account
        .confirmed_second_factor()
        // The factor was removed a moment ago.
        .ok_or(Refusal::PasswordHasChanged)?;
    Ok(MfaToken::new(&account, factor, session, app.clock.now()).text(&app.pepper))
}

/// The account with this address and password, and a new hash if the old one is weaker than new ones.
async fn authenticate(
    app: &App,
    attempt: &Attempt,
    request: &Request,
) -> Result<(Account, Option<SecretHash>, FailureCounters), ApiError> {
    let find = async || match &request.email {
        Some(email) => Ok(app.accounts.registered_with(&app.pepper.key_of(email)).await?),
        None => Ok(None),
    };
    let proven = app.prove_password(attempt, None, &[&request.password], find).await?;
    let account = proven.account;
    if account.disabled {
        return Err(refused(attempt, account.id, Refusal::AccountIsDisabled.into()));
    }
    if !proven.is_outdated {
        return Ok((account, None, proven.counters));
    }
    let rehashed = match app.hasher.hash(&proven.slot, &request.password).await {
        Ok(hash) => Some(hash.into()),
        // The next login tries again.
        Err(error) => {
            tracing::warn!(%error, account.id = %account.id, "a password was not hashed again");
            None
        }
    };
    Ok((account, rehashed, proven.counters))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_no_address_is_no_mistake_of_form() {
        let body = serde_json::json!({"email": "nobody", "password": "x"});
        let Value::Object(body) = body else { panic!("not an object") };
        assert!(Request::read(body).unwrap().email.is_none());
    }

    #[test]
    fn failures_are_shown_without_passwords() {
        let body = serde_json::json!({"email": "ada@example.com", "password": "plum tractor canyon"});
        let Value::Object(body) = body else { panic!("not an object") };
        assert!(!format!("{:?}", Request::read(body).unwrap()).contains("plum"));
    }
}
