//! `POST /auth/refresh`: exchanges a refresh token for the next one, once.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use events::{Actor, EndReason, Session};
use http_api::{JsonObject, RequestContext, SecurityEvent, text};
use serde_json::Value;

use super::token_answer::token_answer;
use crate::{
    app_state::App,
    command_metadata::CommandMetadata,
    domain::{self, Refusal},
    error::{ApiError, CommandError},
    keys::{Pepper, Purpose},
    token::RefreshToken,
};

/// The name of the event in the security log.
const EVENT: &str = "refresh";

pub(crate) async fn refresh(
    State(app): State<Arc<App>>,
    context: RequestContext,
    body: JsonObject,
) -> Result<Response, ApiError> {
    let parsed = |value: &Value| text(value).map(|text| RefreshToken::parse(text, &app.pepper));
    let Some(presented) = body.only("refresh_token", parsed)? else {
        return Err(unknown());
    };
    let Some(session) = app.sessions.load(presented.session).await?.state else {
        return Err(unknown());
    };
    let owner = session.account;
    let refreshed = next_tokens(&app, &context, &presented, session).await;
    match &refreshed {
        Ok(_) => SecurityEvent::success(EVENT).actor(owner).subject(owner).record(),
        Err(ApiError::Refused(refusal)) => {
            SecurityEvent::failure(EVENT, reason(refusal)).subject(owner).record()
        }
        Err(ApiError::Failed(_) | ApiError::Bad(_) | ApiError::SecondFactorRequired(_)) => {}
    }
    refreshed
}

fn unknown() -> ApiError {
    let refusal = Refusal::RefreshTokenIsUnknown;
    SecurityEvent::failure(EVENT, reason(&refusal)).record();
    refusal.into()
}

const fn reason(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::RefreshTokenIsUsed => "token_used_before",
        Refusal::RefreshIsRepeatedTooOften => "repeated_too_often",
        Refusal::SessionHasEnded(_) => "session_ended",
        Refusal::SessionHasExpired => "expired",
        _ => "malformed",
    }
}

async fn next_tokens(
    app: &App,
    context: &RequestContext,
    presented: &RefreshToken,
    session: Session,
) -> Result<Response, ApiError> {
    let (account, admins) = match app.accounts.load_with_admins(session.account).await {
        Err(failure) if app.is_erased_unread(session.account, &failure).await => {
            return Err(Refusal::SessionHasEnded(EndReason::Erased).into());
        }
        loaded => loaded?,
    };
    let metadata = CommandMetadata::new(Actor::User(session.account), context);
    let Some(account) = account.state.filter(|account| account.has_open(session.id)) else {
        return Err(finish_end(app, &metadata, &session).await.into());
    };

    let next = RefreshToken::generate(session.id, presented.generation.saturating_add(1), &app.pepper);
    let (presented_hash, next_hash) = (presented.text.hash(), next.text.hash());
    let client = fingerprint(context, &app.pepper);
    let shown = domain::session::Presented {
        generation: presented.generation,
        hash: &presented_hash,
        client: &client,
    };
    let refreshed = app
        .sessions
        .streams
        .execute(&session.id, &metadata.about(session.account), |session, now| {
            domain::session::refresh(session, shown, &next_hash, now)
        })
        .await;
    let refreshed = match refreshed.map_err(CommandError::from) {
        Err(CommandError::Refused(refusal)) => {
            conclude(app, &metadata, &session, &refusal).await?;
            return Err(refusal.into());
        }
        other => other?,
    };
    let session = refreshed.state.ok_or(Refusal::RefreshTokenIsUnknown)?;
    token_answer(app, account, &session, &admins, &next, refreshed.position)
}

/// A fingerprint of the client, which reveals neither its address nor its name: from its network, because devices
/// change their address within one (RFC 8981), and from its `User-Agent`.
fn fingerprint(context: &RequestContext, pepper: &Pepper) -> String {
    let network = context.client_network().map(|network| network.to_string());
    let network = network.unwrap_or_default();
    let user_agent = context.user_agent.as_deref().unwrap_or_default();
    let content = format!("{network}\0{user_agent}");
    hex::encode(&pepper.tag(Purpose::Client, content.as_bytes())[..8])
}

/// The account has closed the session, or is disabled. The session's own stream may not have an end yet.
async fn finish_end(app: &App, metadata: &CommandMetadata, session: &Session) -> Refusal {
    let reason = session.ended.map_or(EndReason::LogoutAll, |(_, reason)| reason);
    if session.ended.is_none()
        && let Err(error) = app.sessions.end(session.id, session.account, reason, &metadata.by_system()).await
    {
        tracing::warn!(%error, session.id = %session.id, "the stream of a closed session does not say so");
    }
    Refusal::SessionHasEnded(reason)
}

/// Ends the session if the refused token requires it.
async fn conclude(
    app: &App,
    metadata: &CommandMetadata,
    session: &Session,
    refusal: &Refusal,
) -> Result<(), CommandError> {
    let reason = match refusal {
        // Somebody has a copy. The owner and the thief cannot be distinguished, so both must log in.
        Refusal::RefreshTokenIsUsed => EndReason::ReuseDetected,
        Refusal::SessionHasExpired => EndReason::Expired,
        _ => return Ok(()),
    };
    if reason == EndReason::ReuseDetected {
        tracing::warn!(account.id = %session.account, session.id = %session.id, "a used refresh token came back");
    }
    app.sessions.end(session.id, session.account, reason, &metadata.by_system()).await.map(drop)
}
