//! `DELETE /auth/sessions/{id}`: ends one session of the caller. Repeating it changes nothing.

use std::sync::Arc;

use auth_client::Caller;
use axum::{extract::State, response::Response};
use events::{Actor, EndReason, SessionId};
use http_api::{NoFields, PathId, RequestContext, TargetConditions};

use super::{answer, target};
use crate::{app_state::App, command_metadata::CommandMetadata, error::ApiError};

pub(crate) async fn end_session(
    State(app): State<Arc<App>>,
    caller: Caller,
    context: RequestContext,
    session: PathId<SessionId>,
    conditions: TargetConditions,
    _: NoFields,
) -> Result<Response, ApiError> {
    let session = session.or_not_found()?;
    let id = caller.user_id();
    conditions.check_on(target::session(&app, id, session)).await?;
    let metadata = CommandMetadata::new(Actor::User(id), &context);
    let position = app.sessions.end(session, id, EndReason::Logout, &metadata).await?;
    Ok(answer::no_content(id, position))
}
