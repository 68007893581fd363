//! Begins a session that the account has opened, and ends those that have to make room for it.

use std::collections::{BTreeSet, HashSet};

use auth_client::Revocation;
use axum::response::Response;
use events::{
    Account, AuthenticationMethod, EndReason, MAX_OPEN_SESSIONS, SessionId, SessionStarted, Timestamp,
};
use http_api::{RequestContext, SecurityEvent};

use super::token_answer::token_answer;
use crate::{
    accounts::Changed,
    app_state::App,
    command_metadata::CommandMetadata,
    domain::{self, Refusal},
    error::ApiError,
    token::RefreshToken,
};

/// How long a session lasts from its login.
const SESSION_SECONDS: i64 = 7 * 24 * 60 * 60;

/// Begins the session `id`, which `account` has opened, for a person who authenticated with `methods`.
///
/// # Errors
/// [`Refusal::LoginIsOver`] when another request of the same login has begun it, and has its tokens. After any other
/// error nobody has tokens of this session, and it ends if it began.
pub(crate) async fn start(
    app: &App,
    context: &RequestContext,
    account: Account,
    id: SessionId,
    methods: BTreeSet<AuthenticationMethod>,
    metadata: &CommandMetadata,
) -> Result<Response, ApiError> {
    let person = account.id;
    let refresh_token = RefreshToken::generate(id, 0, &app.pepper);
    let started = |now: Timestamp| SessionStarted {
        account: person,
        refresh_hash: refresh_token.text.hash(),
        expires_at: now.plus_seconds(SESSION_SECONDS),
        ip: context.client_ip.clone(),
        user_agent: context.user_agent.clone().map(String::from),
        methods: methods.clone(),
        idle_seconds: Some(app.idle_seconds),
    };
    let begun = begin(app, account, id, started, &refresh_token, metadata).await;
    if let Err(ApiError::Failed(_)) = &begun {
        app.sessions.take_back(id, person, &refresh_token.text.hash(), &metadata.by_system()).await;
    }
    begun
}

async fn begin(
    app: &App,
    account: Account,
    id: SessionId,
    started: impl Fn(Timestamp) -> SessionStarted,
    refresh_token: &RefreshToken,
    metadata: &CommandMetadata,
) -> Result<Response, ApiError> {
    let person = account.id;
    // Read before the session begins, so that little can fail afterwards.
    let admins = app.accounts.admins().await?;
    let begun = app
        .sessions
        .streams
        .execute(&id, &metadata.about(person), |session, now| {
            Ok::<_, Refusal>(domain::session::start(session, &started(now)))
        })
        .await?;
    let session = begun.state.ok_or(Refusal::SessionIsUnknown)?;
    if !domain::session::has_token(&session, &refresh_token.text.hash()) {
        return Err(Refusal::LoginIsOver.into());
    }
    let answer = token_answer(app, account, &session, &admins, refresh_token, begun.position)?;
    SecurityEvent::success("login").actor(person).subject(person).methods(&session.methods).record();
    tracing::info!(account.id = %person, session.id = %id, "logged in");
    Ok(answer)
}

/// Ends the sessions that were closed to make room for a new one.
pub(crate) async fn end_crowded_out(app: &App, opened: &Changed, metadata: &CommandMetadata) {
    app.sessions.end_closed(opened, EndReason::Logout, &metadata.by_system()).await;
    if !opened.closed.is_empty() {
        app.revocations.broadcast(Revocation::Account(opened.account.id)).await;
    }
}

/// The open sessions that have ended by themselves. Read only when the account has the most sessions.
pub(crate) async fn ended_sessions(app: &App, account: &Account) -> Result<Vec<SessionId>, ApiError> {
    if account.open_sessions.len() < MAX_OPEN_SESSIONS {
        return Ok(Vec::new());
    }
    let now = app.clock.now();
    let open = app.sessions.open_of(account).await?;
    let live: HashSet<_> = open
        .into_iter()
        .filter_map(|session| session.state.filter(|session| session.is_live(now)))
        .map(|session| session.id)
        .collect();
    let ended = account.open_sessions.iter().filter(|id| !live.contains(id));
    Ok(ended.copied().collect())
}
