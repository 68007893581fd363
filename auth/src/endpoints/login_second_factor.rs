//! `POST /auth/login/second-factor`: continues a login whose password was right.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use events::{Actor, AuthenticationMethod};
use http_api::{Form, JsonObject, Problem, RequestContext, SecurityEvent, text};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::fields;
use crate::{
    auth::Auth,
    command_metadata::CommandMetadata,
    domain::{self, Refusal},
    error::ApiError,
    second_factor::matching,
    session_start,
    token::MfaToken,
};

/// The name of the event in the security log.
const EVENT: &str = "second_factor";

struct Request {
    /// The login; `None` for a text that was not made here.
    login: Option<MfaToken>,
    code: Zeroizing<String>,
}

impl Request {
    fn read(body: Map<String, Value>, auth: &Auth) -> Result<Self, Problem> {
        let mut form = Form::new(body);
        let login = form.required("mfa_token", |value| {
            text(value).map(|text| MfaToken::parse(text, &auth.pepper))
        });
        let code = form.required("code", fields::code);
        form.finish()?;
        let (Some(login), Some(code)) = (login, code) else {
            return Err(Problem::internal());
        };
        Ok(Self { login, code })
    }
}

pub(crate) async fn login_second_factor(
    State(auth): State<Arc<Auth>>,
    context: RequestContext,
    body: JsonObject,
) -> Result<Response, ApiError> {
    let request = Request::read(body.fields, &auth)?;
    let whose = request.login.as_ref().map(|login| login.account);
    let outcome = go_on(&auth, &context, request).await;
    if let Err(ApiError::Refused(refusal)) = &outcome
        && let Some(reason) = reason(refusal)
    {
        SecurityEvent::failure(EVENT, reason)
            .subject_if_known(whose)
            .record();
    }
    auth.counters.login(match &outcome {
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

async fn go_on(auth: &Auth, context: &RequestContext, request: Request) -> Result<Response, ApiError> {
    let login = request.login.ok_or(Refusal::LoginIsOver)?;
    let known = auth.account(login.account).await?;
    let account = known.state.filter(|account| !account.erased);
    let account = account.ok_or(Refusal::LoginIsOver)?;
    let metadata = CommandMetadata::new(Actor::User(account.id), context);
    let begun = auth.session(login.session).await?;
    if begun.state.is_some() {
        return Err(Refusal::LoginIsOver.into());
    }
    let ended = session_start::ended_sessions(auth, &account).await?;
    let now = auth.clock.now();
    // The append that counts the code also opens the session. If it was opened by a request that failed before the
    // session began, this one begins it.
    let opened = auth
        .change_with_code(EVENT, account.id, &metadata, |account| {
            domain::second_factor::go_on_with_login(
                account,
                login.session,
                &ended,
                now,
                |account, factor| login.is_good(account, factor, now),
                |account, factor| matching(&auth.sealing, account, factor, &request.code, now),
            )
        })
        .await?;
    session_start::end_crowded_out(auth, &opened, &metadata).await;
    let methods = [
        AuthenticationMethod::Pwd,
        AuthenticationMethod::Otp,
        AuthenticationMethod::Mfa,
    ];
    session_start::start(
        auth,
        context,
        opened.account,
        login.session,
        methods.into(),
        &metadata,
    )
    .await
}
