//! `POST /auth/users/{id}/reset`: an admin offers a password reset.

use std::sync::Arc;

use api_types::OfferedReset;
use auth_client::Admin;
use axum::{extract::State, response::Response};
use events::{AdminReason, UserId};
use http::StatusCode;
use http_api::{FieldError, Form, OptionalJsonObject, PathId, Problem, RequestContext, TargetConditions};
use serde_json::{Map, Value};

use super::{answer, fields, target};
use crate::{app_state::App, command_metadata::CommandMetadata, error::ApiError, reset_offer};

/// Reads whether the reset removes the second factor, and the reason.
fn read(body: Map<String, Value>) -> Result<(bool, Option<AdminReason>), Problem> {
    let mut form = Form::new(body);
    let removes = form.optional("remove_second_factor", |value| {
        value.as_bool().ok_or_else(|| FieldError::wrong_type("a boolean"))
    });
    let reason = form.optional("reason", fields::reason).into_value();
    form.finish()?;
    Ok((removes.into_value().unwrap_or_default(), reason))
}

pub(crate) async fn offer_reset(
    State(app): State<Arc<App>>,
    Admin(caller): Admin,
    context: RequestContext,
    id: PathId<UserId>,
    conditions: TargetConditions,
    body: OptionalJsonObject,
) -> Result<Response, ApiError> {
    let (removes_second_factor, reason) = read(body.fields)?;
    let id = id.or_not_found()?;
    conditions.check_on(target::account(&app, id)).await?;
    let metadata = CommandMetadata::new(caller.actor(), &context);
    let (offered, changed) = reset_offer::offer(&app, id, &metadata, removes_second_factor, reason).await?;
    let body = OfferedReset { reset_token: offered.token.to_string(), expires_at: offered.expires_at };
    Ok(answer::json(StatusCode::OK, &body, id, changed.position))
}
