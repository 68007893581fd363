//! Begins a session that the account has opened, and makes the answer of logins and refreshes.

use std::collections::{BTreeSet, HashSet};

use api_types::{TokenType, Tokens};
use auth_client::Revocation;
use axum::response::Response;
use events::{
    Account, AuthenticationMethod, EndReason, MAX_OPEN_SESSIONS, Session, SessionId, SessionStarted,
};
use http::StatusCode;
use http_api::{RequestContext, SecurityEvent};

use crate::{
    auth::{Auth, Changed},
    command_metadata::CommandMetadata,
    domain::{self, Refusal},
    endpoints::answer,
    error::{ApiError, Failure},
    token::{Issued, RefreshToken},
};

/// Begins the session `id`, which `account` has opened, for a person who authenticated with `methods`.
///
/// # Errors
/// [`Refusal::LoginIsOver`] when another request of the same login has begun it, and has its tokens.
pub(crate) async fn start(
    auth: &Auth,
    context: &RequestContext,
    account: Account,
    id: SessionId,
    methods: BTreeSet<AuthenticationMethod>,
    metadata: &CommandMetadata,
) -> Result<Response, ApiError> {
    let refresh_token = RefreshToken::generate(id, 0, &auth.pepper);
    let refresh_hash = refresh_token.hash();
    let started = auth
        .sessions
        .execute(&id, &metadata.about(account.id), |session, now| {
            let started = SessionStarted {
                account: account.id,
                refresh_hash: refresh_hash.clone(),
                expires_at: now.plus_seconds(auth.refresh_ttl_seconds),
                ip: context.client_ip.clone(),
                user_agent: context.user_agent.clone().map(String::from),
                methods: methods.clone(),
                idle_seconds: Some(auth.idle_seconds),
            };
            Ok::<_, Refusal>(domain::session::start(session, &started))
        })
        .await?;
    let session = started.state.ok_or(Refusal::SessionIsUnknown)?;
    if session
        .refresh_tokens
        .iter()
        .all(|token| token.hash != refresh_hash)
    {
        return Err(Refusal::LoginIsOver.into());
    }
    SecurityEvent::success("login")
        .actor(account.id)
        .subject(account.id)
        .methods(&session.methods)
        .record();
    tracing::info!(account.id = %account.id, session.id = %id, "logged in");
    let admins = auth
        .admins
        .load(&())
        .await
        .map_err(Failure::from)?
        .state
        .unwrap_or_default();
    let issued = auth.issue(&account, &session, &admins)?;
    Ok(token_answer(
        auth,
        account,
        &session,
        &issued,
        &refresh_token,
        started.position,
    ))
}

/// Ends the sessions that were closed to make room for a new one.
pub(crate) async fn end_crowded_out(auth: &Auth, opened: &Changed, metadata: &CommandMetadata) {
    auth.end_closed_sessions(opened, EndReason::Logout, &metadata.by_system())
        .await;
    if !opened.closed.is_empty() {
        auth.revoke(Revocation::Account(opened.account.id)).await;
    }
}

/// The open sessions that have ended by themselves. Read only when the account has the most sessions.
pub(crate) async fn ended_sessions(auth: &Auth, account: &Account) -> Result<Vec<SessionId>, ApiError> {
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

/// The answer with the tokens and the account of a session.
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
        // Rounded, because a little time has passed since the session began.
        refresh_expires_in: (left + 500_000).div_euclid(1_000_000),
        user: account.into(),
    };
    answer::json(StatusCode::OK, &body, id, position)
}
