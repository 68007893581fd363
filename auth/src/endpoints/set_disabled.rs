//! `POST /auth/users/{id}/disable` and `/enable`: an admin takes an account out of use, and back.

use std::sync::Arc;

use api_types::UserBody;
use auth_client::Caller;
use axum::{
    extract::{Path, State},
    response::Response,
};
use events::{Actor, EndReason, Role, UserId};
use http::StatusCode;
use http_api::{NoFields, RequestContext};

use super::answer;
use crate::{auth::Auth, command_metadata::CommandMetadata, domain::Refusal, error::ApiError, last_admin};

pub(crate) async fn disable(
    State(auth): State<Arc<Auth>>,
    caller: Caller,
    context: RequestContext,
    Path(id): Path<String>,
    _: NoFields,
) -> Result<Response, ApiError> {
    let (id, metadata) = read(&caller, &context, &id)?;
    let changed = last_admin::disable(&auth, id, &metadata).await?;
    let position = auth
        .end_closed_sessions(&changed, EndReason::Disabled, &metadata)
        .await;
    Ok(answer::json(
        StatusCode::OK,
        &UserBody::from(changed.account),
        id,
        position,
    ))
}

pub(crate) async fn enable(
    State(auth): State<Arc<Auth>>,
    caller: Caller,
    context: RequestContext,
    Path(id): Path<String>,
    _: NoFields,
) -> Result<Response, ApiError> {
    let (id, metadata) = read(&caller, &context, &id)?;
    let changed = last_admin::enable(&auth, id, &metadata).await?;
    Ok(answer::json(
        StatusCode::OK,
        &UserBody::from(changed.account),
        id,
        changed.position,
    ))
}

fn read(caller: &Caller, context: &RequestContext, id: &str) -> Result<(UserId, CommandMetadata), ApiError> {
    caller.require(Role::Admin)?;
    let id = id.parse().map_err(|_| Refusal::AccountIsUnknown)?;
    Ok((id, CommandMetadata::new(Actor::User(caller.user_id()), context)))
}
