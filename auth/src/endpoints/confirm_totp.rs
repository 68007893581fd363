//! `POST /auth/me/totp/confirm`: confirms the second factor with a code, which proves that the app works.

use std::sync::Arc;

use auth_client::Caller;
use axum::{extract::State, response::Response};
use http_api::{JsonObject, RequestContext, SecurityEvent};

use super::{answer, fields};
use crate::{
    app_state::App, command_metadata::CommandMetadata, domain, error::ApiError, second_factor::matching,
};

/// The name of the event in the security log.
const CONFIRMATION: &str = "second_factor_confirmation";

pub(crate) async fn confirm_totp(
    State(app): State<Arc<App>>,
    caller: Caller,
    context: RequestContext,
    body: JsonObject,
) -> Result<Response, ApiError> {
    let code = body.only("code", fields::code)?;
    let id = caller.user_id();
    let metadata = CommandMetadata::new(caller.actor(), &context);
    let now = app.clock.now();
    let changed = app
        .change_with_code(CONFIRMATION, id, &metadata, |account| {
            domain::second_factor::confirm(account, now, |account, factor| {
                matching(&app.cipher, account, factor, &code, now)
            })
        })
        .await?;
    SecurityEvent::success(CONFIRMATION).actor(id).subject(id).record();
    tracing::info!(account.id = %id, "a second factor is in force");
    Ok(answer::no_content(id, changed.position))
}
