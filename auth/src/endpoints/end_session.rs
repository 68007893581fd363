//! `DELETE /auth/sessions/{id}`: ends one session of the caller. Repeating it changes nothing.

use std::sync::Arc;

use auth_client::Caller;
use axum::{
    extract::{Path, State},
    response::Response,
};
use events::{Actor, EndReason, SessionId};
use http_api::{NoFields, RequestContext};

use super::answer;
use crate::{auth::Auth, command_metadata::CommandMetadata, domain::Refusal, error::ApiError};

pub(crate) async fn end_session(
    State(auth): State<Arc<Auth>>,
    caller: Caller,
    context: RequestContext,
    Path(id): Path<String>,
    _: NoFields,
) -> Result<Response, ApiError> {
    let session: SessionId = id.parse().map_err(|_| Refusal::SessionIsUnknown)?;
    let metadata = CommandMetadata::new(Actor::User(caller.user_id()), &context);
    let position = auth
        .end_session(session, caller.user_id(), EndReason::Logout, &metadata)
        .await?;
    Ok(answer::no_content(caller.user_id(), position))
}
