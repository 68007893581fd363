//! `DELETE /auth/tokens` and `DELETE /auth/users/{id}/tokens`: revokes all program tokens of an account, for its
//! owner and for an admin.

use std::sync::Arc;

use auth_client::{Admin, Caller};
use axum::{extract::State, response::Response};
use events::UserId;
use http_api::{NoFields, PathId, RequestContext, TargetConditions};

use super::{answer, target};
use crate::{app_state::App, command_metadata::CommandMetadata, error::ApiError, program_tokens};

pub(crate) async fn of_the_caller(
    State(app): State<Arc<App>>,
    caller: Caller,
    context: RequestContext,
    _: NoFields,
) -> Result<Response, ApiError> {
    let id = caller.user_id();
    let metadata = CommandMetadata::new(caller.actor(), &context);
    let (changed, _) = program_tokens::revoke_all(&app, id, &metadata).await?;
    Ok(answer::no_content(id, changed.position))
}

pub(crate) async fn of_somebody(
    State(app): State<Arc<App>>,
    Admin(caller): Admin,
    context: RequestContext,
    id: PathId<UserId>,
    conditions: TargetConditions,
    _: NoFields,
) -> Result<Response, ApiError> {
    let id = id.or_not_found()?;
    conditions.check_on(target::account(&app, id)).await?;
    let metadata = CommandMetadata::new(caller.actor(), &context);
    let (changed, _) = program_tokens::revoke_all(&app, id, &metadata).await?;
    Ok(answer::no_content(id, changed.position))
}
