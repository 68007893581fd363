//! `POST /auth/logout`: ends this session.

use std::sync::Arc;

use auth_client::SignedIn;
use axum::{extract::State, response::Response};
use events::{Actor, EndReason};
use http_api::{NoFields, RequestContext};

use super::answer;
use crate::{app_state::App, command_metadata::CommandMetadata, error::ApiError};

pub(crate) async fn logout(
    State(app): State<Arc<App>>,
    SignedIn { caller, session }: SignedIn,
    context: RequestContext,
    _: NoFields,
) -> Result<Response, ApiError> {
    let id = caller.user_id();
    let metadata = CommandMetadata::new(Actor::User(id), &context);
    let position = app.sessions.end(session, id, EndReason::Logout, &metadata).await?;
    Ok(answer::no_content(id, position))
}
