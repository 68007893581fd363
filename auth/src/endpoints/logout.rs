//! `POST /auth/logout`: ends this session.

use std::sync::Arc;

use auth_client::SignedIn;
use axum::{extract::State, response::Response};
use events::{Actor, EndReason};
use http_api::{NoFields, RequestContext};

use super::answer;
use crate::{auth::Auth, command_metadata::CommandMetadata, error::ApiError};

pub(crate) async fn logout(
    State(auth): State<Arc<Auth>>,
    SignedIn { caller, session }: SignedIn,
    context: RequestContext,
    _: NoFields,
) -> Result<Response, ApiError> {
    let id = caller.user_id();
    let metadata = CommandMetadata::new(Actor::User(id), &context);
    let position = auth
        .end_session(session, id, EndReason::Logout, &metadata)
        .await?;
    Ok(answer::no_content(id, position))
}
