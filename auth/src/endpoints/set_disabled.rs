//! `POST /auth/users/{id}/disable` and `/enable`: an admin disables and enables an account.

use std::sync::Arc;

use auth_client::{Admin, Caller};
use axum::{extract::State, response::Response};
use events::{Actor, AdminReason, EndReason, UserId};
use http_api::{Form, OptionalJsonObject, PathId, RequestContext, TargetConditions};
use serde_json::{Map, Value};

use super::{answer, fields, target};
use crate::{app_state::App, command_metadata::CommandMetadata, error::ApiError, last_admin};

pub(crate) async fn disable(
    State(app): State<Arc<App>>,
    Admin(caller): Admin,
    context: RequestContext,
    id: PathId<UserId>,
    conditions: TargetConditions,
    body: OptionalJsonObject,
) -> Result<Response, ApiError> {
    let (id, metadata, reason) = read(&caller, &context, id, body.fields)?;
    conditions.check_on(target::account(&app, id)).await?;
    let changed = last_admin::disable(&app, id, &metadata, reason.as_ref()).await?;
    let position = app.sessions.end_closed(&changed, EndReason::Disabled, &metadata).await;
    Ok(answer::account(changed.account, position))
}

pub(crate) async fn enable(
    State(app): State<Arc<App>>,
    Admin(caller): Admin,
    context: RequestContext,
    id: PathId<UserId>,
    conditions: TargetConditions,
    body: OptionalJsonObject,
) -> Result<Response, ApiError> {
    let (id, metadata, reason) = read(&caller, &context, id, body.fields)?;
    conditions.check_on(target::account(&app, id)).await?;
    let changed = last_admin::enable(&app, id, &metadata, reason.as_ref()).await?;
    Ok(answer::account(changed.account, changed.position))
}

type Command = (UserId, CommandMetadata, Option<AdminReason>);

fn read(
    caller: &Caller,
    context: &RequestContext,
    id: PathId<UserId>,
    body: Map<String, Value>,
) -> Result<Command, ApiError> {
    let mut form = Form::new(body);
    let reason = form.optional("reason", fields::reason).into_value();
    form.finish()?;
    let id = id.or_not_found()?;
    let metadata = CommandMetadata::new(Actor::User(caller.user_id()), context);
    Ok((id, metadata, reason))
}
