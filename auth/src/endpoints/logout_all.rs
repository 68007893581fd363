//! `POST /auth/logout-all`: ends every session of the caller.

use std::sync::Arc;

use auth_client::{Caller, Revocation};
use axum::{extract::State, response::Response};
use events::{Actor, EndReason};
use http_api::{NoFields, RequestContext};

use super::answer;
use crate::{app_state::App, command_metadata::CommandMetadata, domain, error::ApiError};

pub(crate) async fn logout_all(
    State(app): State<Arc<App>>,
    caller: Caller,
    context: RequestContext,
    _: NoFields,
) -> Result<Response, ApiError> {
    let id = caller.user_id();
    let metadata = CommandMetadata::new(Actor::User(id), &context);
    let changed = app.accounts.change(id, &metadata, domain::account::end_sessions).await?;
    app.revocations.broadcast(Revocation::Account(id)).await;
    let position = match changed.happened {
        true => app.sessions.end_closed(&changed, EndReason::LogoutAll, &metadata).await,
        false => app.accounts.newest_position().await?,
    };
    Ok(answer::no_content(id, position))
}
