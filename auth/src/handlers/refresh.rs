//! `POST /auth/refresh`: exchanges a refresh token for the next one, once.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use events::{Account, Actor, EndReason, Session};
use serde_json::{Map, Value};
use service::{Form, JsonObject, Problem, RequestContext, text};

use super::login::token_answer;
use crate::{
    auth::Auth,
    domain::{self, Refusal},
    error::{ApiError, CommandError},
    ledger::{Cause, Loaded},
    token::RefreshToken,
};

struct Request {
    /// `None` for a text that cannot be a refresh token.
    refresh_token: Option<RefreshToken>,
}

impl Request {
    fn read(body: Map<String, Value>) -> Result<Self, Problem> {
        let mut form = Form::new(body);
        let refresh_token = form.required("refresh_token", |value| text(value).map(RefreshToken::parse));
        form.finish()?;
        Ok(Self {
            refresh_token: refresh_token.flatten(),
        })
    }
}

pub(crate) async fn refresh(
    State(auth): State<Arc<Auth>>,
    context: RequestContext,
    body: JsonObject,
) -> Result<Response, ApiError> {
    let presented = Request::read(body.fields)?
        .refresh_token
        .ok_or(Refusal::RefreshTokenIsUnknown)?;
    let session: Loaded<Session> = auth.ledger.load(&presented.session).await?;
    let session = session.state.ok_or(Refusal::RefreshTokenIsUnknown)?;
    let account: Loaded<Account> = auth.ledger.load(&session.account).await?;
    let cause = Cause::new(Actor::User(session.account), &context);

    let next = RefreshToken::generate(session.id);
    let (presented_hash, next_hash) = (presented.hash(), next.hash());
    let refreshed = auth
        .ledger
        .execute::<Session, ()>(&session.id, session.account, &cause, |session, now| {
            Ok((
                domain::session::refresh(session, &presented_hash, &next_hash, now)?,
                (),
            ))
        })
        .await;
    let refreshed = match refreshed {
        Err(CommandError::Refused(refusal)) => {
            conclude(&auth, &cause, &session, &refusal).await?;
            return Err(refusal.into());
        }
        other => other?,
    };
    // A session of an account that may not be used was missed when the others were ended.
    let Some(account) = account.state.filter(Account::is_live) else {
        auth.end_session(
            session.id,
            session.account,
            EndReason::Disabled,
            &cause.by_system(),
        )
        .await?;
        return Err(Refusal::SessionHasEnded(EndReason::Disabled).into());
    };
    let session = refreshed.state.ok_or(Refusal::RefreshTokenIsUnknown)?;
    let issued = auth.issue(&account, session.id, session.expires_at)?;
    Ok(token_answer(
        &auth,
        account,
        &session,
        &issued,
        &next,
        refreshed.position,
    ))
}

/// Ends the session when the refused token says that it must.
async fn conclude(
    auth: &Auth,
    cause: &Cause,
    session: &Session,
    refusal: &Refusal,
) -> Result<(), CommandError> {
    let reason = match refusal {
        // Someone has a copy: the owner or a thief. Neither can be told from the other, so both must log in.
        Refusal::RefreshTokenIsUsed => EndReason::ReuseDetected,
        Refusal::SessionHasExpired => EndReason::Expired,
        _ => return Ok(()),
    };
    if reason == EndReason::ReuseDetected {
        tracing::warn!(account.id = %session.account, session.id = %session.id, "a used refresh token came back");
    }
    auth.end_session(session.id, session.account, reason, &cause.by_system())
        .await
        .map(drop)
}
