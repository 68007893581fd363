//! `DELETE /auth/sessions/{id}`: ends one session of the caller. Repeating it changes nothing.

use std::sync::Arc;

use auth_client::Caller;
use axum::{extract::State, response::Response};
use events::{Actor, EndReason, SessionId};
use http_api::{NoFields, PathId, RequestContext};

use super::answer;
use crate::{app_state::App, command_metadata::CommandMetadata, error::ApiError};

pub(crate) async fn end_session(
    State(app): State<Arc<App>>,
    caller: Caller,
    context: RequestContext,
    session: PathId<SessionId>,
    _: NoFields,
) -> Result<Response, ApiError> {
    let session = session.or_not_found()?;
    let metadata = CommandMetadata::new(Actor::User(caller.user_id()), &context);
    let position = app
        .sessions
        .end(session, caller.user_id(), EndReason::Logout, &metadata)
        .await?;
    Ok(answer::no_content(caller.user_id(), position))
}
