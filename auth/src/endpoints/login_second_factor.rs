//! `POST /auth/login/second-factor`: continues a login whose password was right.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use events::{Account, Actor, AuthenticationMethod, SecondFactor};
use http_api::{Form, JsonObject, Problem, RequestContext, SecurityEvent, text};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{fields, session_start};
use crate::{
    app_state::App,
    command_metadata::CommandMetadata,
    domain::{self, Refusal},
    error::ApiError,
    second_factor::matching,
    token::MfaToken,
};

/// The name of the event in the security log.
const EVENT: &str = "second_factor";

/// Reads the login, which is `None` for a text that was not made here, and the code.
fn read(body: Map<String, Value>, app: &App) -> Result<(Option<MfaToken>, Zeroizing<String>), Problem> {
    let mut form = Form::new(body);
    let login =
        form.required("mfa_token", |value| text(value).map(|text| MfaToken::parse(text, &app.pepper)));
    let code = form.required("code", fields::code);
    form.finish_with(login.zip(code))
}

pub(crate) async fn login_second_factor(
    State(app): State<Arc<App>>,
    context: RequestContext,
    body: JsonObject,
) -> Result<Response, ApiError> {
    let (login, code) = read(body.fields, &app)?;
    let whose = login.as_ref().map(|login| login.account);
    let outcome = go_on(&app, &context, login, &code).await;
    if let Err(ApiError::Refused(refusal)) = &outcome
        && let Some(reason) = reason(refusal)
    {
        SecurityEvent::failure(EVENT, reason).subject_if_known(whose).record();
    }
    app.counters.login(match &outcome {
        Ok(_) => "success",
        Err(ApiError::Refused(Refusal::CodeIsWrong)) => "bad_code",
        Err(ApiError::Refused(_)) => "refused_code",
        Err(ApiError::Failed(_) | ApiError::Bad(_) | ApiError::SecondFactorRequired(_)) => "failed",
    });
    outcome
}

/// The reason if no code was checked. The result of a checked code is logged elsewhere.
const fn reason(refusal: &Refusal) -> Option<&'static str> {
    match refusal {
        Refusal::LoginIsOver => Some("token_invalid"),
        Refusal::AccountIsDisabled => Some("account_disabled"),
        _ => None,
    }
}

async fn go_on(
    app: &App,
    context: &RequestContext,
    login: Option<MfaToken>,
    code: &str,
) -> Result<Response, ApiError> {
    // An old token does not even take one of the permits.
    let is_in_time = |login: &MfaToken| login.is_in_time(app.clock.now());
    let login = login.filter(is_in_time).ok_or(Refusal::LoginIsOver)?;
    let _turn = app.limits.logins.acquire(login.account).await?;
    let now = app.clock.now();
    let known = app.accounts.load(login.account).await?;
    let known = known.state.filter(|account| !account.erased);
    let is_good = |account: &Account, factor: &SecondFactor| login.is_good(account, factor, now);
    let matches =
        |account: &Account, factor: &SecondFactor| matching(&app.cipher, account, factor, code, now);
    let known = known.ok_or(Refusal::LoginIsOver)?;
    // A token that is good no longer causes no reads but the one before.
    let (account, _) = domain::second_factor::of_login(Some(&known), is_good)?;
    let begun = app.sessions.load(login.session).await?;
    if begun.state.is_some() {
        return Err(Refusal::LoginIsOver.into());
    }
    // Only a code that counts now opens a session, and there may be many others to read. While codes have to wait, the
    // answer to a right one must not take longer.
    let ended = match domain::second_factor::judge(account, now, matches) {
        Ok(judged) if judged.is_right => session_start::ended_sessions(app, account).await?,
        _ => Vec::new(),
    };
    let metadata = CommandMetadata::new(Actor::User(account.id), context);
    // The append that counts the code also opens the session. If it was opened by a request that failed before the
    // session began, this one begins it.
    let opened = app
        .change_with_code(EVENT, account.id, &metadata, |account| {
            domain::second_factor::go_on_with_login(account, login.session, &ended, now, is_good, matches)
        })
        .await?;
    session_start::end_crowded_out(app, &opened, &metadata).await;
    let methods = [AuthenticationMethod::Pwd, AuthenticationMethod::Otp, AuthenticationMethod::Mfa];
    session_start::start(app, context, opened.account, login.session, methods.into(), &metadata).await
}
