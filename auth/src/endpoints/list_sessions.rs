//! `GET /auth/sessions`: where the caller is logged in.

use std::sync::Arc;

use api_types::{Session, Sessions};
use auth_client::SignedIn;
use axum::{extract::State, response::Response};
use events::SessionId;
use http::StatusCode;

use super::answer;
use crate::{app_state::App, domain::Refusal, error::ApiError};

/// `session` for its owner, whose request comes from the session `asking`.
fn shown(session: events::Session, asking: SessionId) -> Session {
    Session {
        id: session.id,
        started_at: session.started_at,
        last_refreshed_at: session.last_refreshed_at,
        expires_at: session.expires_at,
        ip: session.ip,
        user_agent: session.user_agent,
        current: session.id == asking,
    }
}

pub(crate) async fn list_sessions(
    State(app): State<Arc<App>>,
    SignedIn { caller, session: asking }: SignedIn,
) -> Result<Response, ApiError> {
    let account = app.accounts.load(caller.user_id()).await?;
    let position = account.position();
    let account = account.state.ok_or(Refusal::AccountIsUnknown)?;
    let open = app.limits.list(caller.user_id(), app.sessions.open_of(&account)).await?;
    let position = open.iter().fold(position, |last, session| last.max(session.position()));
    let now = app.clock.now();
    let items = open
        .into_iter()
        .rev()
        .filter_map(|session| session.state.filter(|session| session.is_live(now)))
        .map(|session| shown(session, asking))
        .collect();
    Ok(answer::json(StatusCode::OK, &Sessions { items }, caller.user_id(), position))
}
