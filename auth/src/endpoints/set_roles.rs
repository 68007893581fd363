//! `PUT /auth/users/{id}/roles`: an admin replaces someone's roles.

use std::{collections::BTreeSet, sync::Arc};

use auth_client::Admin;
use axum::{extract::State, response::Response};
use events::{Actor, AdminReason, Role, UserId};
use http_api::{
    FieldError, FieldErrors, Form, JsonObject, PathId, Problem, RequestContext, TargetConditions, items, text,
};
use serde_json::{Map, Value};

use super::{answer, fields, target};
use crate::{app_state::App, command_metadata::CommandMetadata, error::ApiError, last_admin};

fn read(body: Map<String, Value>) -> Result<(BTreeSet<Role>, Option<AdminReason>), Problem> {
    let mut form = Form::new(body);
    let roles = form.required("roles", roles);
    let reason = form.optional("reason", fields::reason).into_value();
    Ok((form.finish_with(roles)?, reason))
}

pub(super) fn roles(value: &Value) -> Result<BTreeSet<Role>, FieldErrors> {
    items(value, "an array of roles", |item| {
        text(item)?.parse().map_err(|_| FieldError::new("unknown-role", "expected user, auditor or admin"))
    })
}

pub(crate) async fn set_roles(
    State(app): State<Arc<App>>,
    Admin(caller): Admin,
    context: RequestContext,
    id: PathId<UserId>,
    conditions: TargetConditions,
    body: JsonObject,
) -> Result<Response, ApiError> {
    let (roles, reason) = read(body.fields)?;
    let id = id.or_not_found()?;
    conditions.check_on(target::account(&app, id)).await?;
    let metadata = CommandMetadata::new(Actor::User(caller.user_id()), &context);
    let changed = last_admin::set_roles(&app, id, &metadata, &roles, reason.as_ref()).await?;
    Ok(answer::account(changed.account, changed.position))
}
