//! `POST /auth/reset`: sets a new password, given the token of a reset; ends every session.

use std::sync::Arc;

use auth_client::Revocation;
use axum::{extract::State, response::Response};
use events::{Actor, EmailAddress, EndReason, SecretHash};
use http_api::{Form, JsonObject, Problem, RequestContext, SecurityEvent, text};
use serde_json::{Map, Value};

use super::{answer, fields};
use crate::{
    app_state::App,
    command_metadata::CommandMetadata,
    domain::{self, Refusal},
    error::ApiError,
    password::{Password, Requester},
    throttle::Attempt,
    token::ResetToken,
};

/// Reads the token, which is `None` for a text that was not made here, and the new password.
fn read(body: Map<String, Value>, app: &App) -> Result<(Option<ResetToken>, Arc<Password>), Problem> {
    let mut form = Form::new(body);
    let token =
        form.required("reset_token", |value| text(value).map(|text| ResetToken::parse(text, &app.pepper)));
    let password = form.required("new_password", fields::password);
    check_policy(&mut form, app, password.as_ref(), None);
    form.finish_with(token.zip(password))
}

fn check_policy(form: &mut Form, app: &App, password: Option<&Arc<Password>>, email: Option<&EmailAddress>) {
    fields::check_new_password(form, "/new_password", &app.password_policy, password, email);
}

/// Checks the password against the rules that depend on the account.
fn check_password(app: &App, password: &Arc<Password>, email: &str) -> Result<(), Problem> {
    let mut form = Form::new(Map::new());
    let email = EmailAddress::parse(email).ok();
    check_policy(&mut form, app, Some(password), email.as_ref());
    form.finish()
}

pub(crate) async fn reset_password(
    State(app): State<Arc<App>>,
    context: RequestContext,
    body: JsonObject,
) -> Result<Response, ApiError> {
    let (token, password) = read(body.fields, &app)?;
    let whose = token.as_ref().map(|token| token.account);
    let done = use_reset(&app, &context, token, &password).await;
    if let Err(ApiError::Refused(refusal)) = &done {
        SecurityEvent::failure("reset", reason(refusal)).subject_if_known(whose).record();
    }
    done
}

const fn reason(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::ResetHasExpired => "expired",
        Refusal::AccountIsDisabled => "account_disabled",
        _ => "unknown",
    }
}

async fn use_reset(
    app: &App,
    context: &RequestContext,
    token: Option<ResetToken>,
    password: &Arc<Password>,
) -> Result<Response, ApiError> {
    let token = token.ok_or(Refusal::ResetIsUnknown)?;
    let (id, presented, now) = (token.account, token.text.hash(), app.clock.now());
    let account = app.accounts.load(id).await?.state;
    let (account, _) = domain::reset::pending(account.as_ref(), &presented, now)?;
    check_password(app, password, &account.email)?;
    fields::check_not_breached("/new_password", &app.password_policy, password).await?;
    // Only with a valid token the request gets as far as hashing.
    let attempt = Attempt::new(&app.pepper, "reset", &id.to_string(), context);
    let slot = app.hasher.admit(Requester::with_token(attempt.source())).await?;
    let hash: SecretHash = app.hasher.hash(&slot, password).await?.into();
    drop(slot);
    let metadata = CommandMetadata::new(Actor::User(id), context);
    let changed = app
        .accounts
        .change(id, &metadata, |account| domain::reset::complete(account, &presented, &hash, now))
        .await?;
    SecurityEvent::success("reset").actor(id).subject(id).record();
    tracing::info!(account.id = %id, "a password was reset");
    if let Ok(email) = EmailAddress::parse(&account.email) {
        let guesses = Attempt::at_email(&app.pepper, &email, context);
        app.throttle.password_was_reset(&guesses).await;
    }
    app.throttle.forgive_sessions(&app.pepper, id).await;
    app.revocations.broadcast(Revocation::Account(id)).await;
    let position = app.sessions.end_closed(&changed, EndReason::PasswordChanged, &metadata).await;
    Ok(answer::no_content(id, position))
}
