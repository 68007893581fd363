//! `PATCH /auth/me`: changes the display name of the caller.

use std::sync::Arc;

use auth_client::Caller;
use axum::{extract::State, response::Response};
use events::Actor;
use http_api::{Form, JsonObject, Presence, Problem, RequestContext};
use serde_json::{Map, Value};

use super::{answer, fields};
use crate::{app_state::App, command_metadata::CommandMetadata, domain, error::ApiError};

/// Reads the name: an absent one stays, `null` clears it.
fn read(body: Map<String, Value>) -> Result<Presence<String>, Problem> {
    let mut form = Form::new(body);
    let display_name = form.optional("display_name", fields::display_name);
    form.finish()?;
    Ok(display_name)
}

pub(crate) async fn rename(
    State(app): State<Arc<App>>,
    caller: Caller,
    context: RequestContext,
    body: JsonObject,
) -> Result<Response, ApiError> {
    let display_name = read(body.fields)?;
    let id = caller.user_id();
    let metadata = CommandMetadata::new(Actor::User(id), &context);
    let changed = app
        .accounts
        .change(id, &metadata, |account| match &display_name {
            Presence::Absent => Ok(Vec::new()),
            Presence::Null => domain::account::rename(account, None),
            Presence::Value(name) => domain::account::rename(account, Some(name)),
        })
        .await?;
    Ok(answer::account(changed.account, changed.position))
}
