//! `POST /auth/login/second-factor`: goes on with a login whose password was right.

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
    error::{ApiError, CommandError},
    second_factor::matching,
    session_start,
    token::MfaToken,
};

struct Request {
    /// `None` for a text that was not made here.
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
    let outcome = go_on(&auth, &context, request).await;
    auth.counters.login(match &outcome {
        Ok(_) => "success",
        Err(ApiError::Refused(Refusal::CodeIsWrong)) => "bad_code",
        Err(ApiError::Refused(_)) => "refused_code",
        Err(ApiError::Failed(_) | ApiError::Bad(_) | ApiError::SecondFactorRequired(_)) => "failed",
    });
    outcome
}

async fn go_on(auth: &Auth, context: &RequestContext, request: Request) -> Result<Response, ApiError> {
    let login = request.login.ok_or(Refusal::LoginIsOver)?;
    let known = auth.account(login.account).await?;
    let account = known.state.ok_or(Refusal::LoginIsOver)?;
    let metadata = CommandMetadata::new(Actor::User(account.id), context);
    let begun = auth.session(login.session).await?;
    if begun.state.is_some() {
        return Err(Refusal::LoginIsOver.into());
    }
    let ended = session_start::ended_sessions(auth, &account).await?;
    let now = auth.clock.now();
    let mut is_right = false;
    // One append counts the code, whether right or wrong, and opens the session: no code counts twice, and no wrong one is
    // forgotten, however many are sent at once.
    let opened = auth
        .change_account(account.id, &metadata, |account| {
            let judged = domain::second_factor::go_on_with_login(
                account,
                login.session,
                &ended,
                now,
                |account, factor| login.is_good(account, factor, now),
                |account, factor| matching(&auth.sealing, account, factor, &request.code, now),
            )?;
            is_right = judged.is_right;
            Ok(judged.events)
        })
        .await;
    if let Err(CommandError::Refused(Refusal::TooManyWrongCodes { .. })) = &opened {
        SecurityEvent::failure("second_factor", "too_many_attempts")
            .subject(account.id)
            .record();
    }
    let opened = opened?;
    if !is_right {
        SecurityEvent::failure("second_factor", "bad_code")
            .subject(account.id)
            .record();
        return Err(Refusal::CodeIsWrong.into());
    }
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
