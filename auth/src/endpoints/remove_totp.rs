//! `DELETE /auth/me/totp`: removes the second factor, given the password and a code.

use std::sync::Arc;

use auth_client::{Revocation, SignedIn};
use axum::{extract::State, response::Response};
use http_api::{Form, JsonObject, Problem, RequestContext, SecurityEvent};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{answer, fields};
use crate::{
    app_state::App, command_metadata::CommandMetadata, domain, error::ApiError, password::Password,
    password_verification::refused_after_proof, second_factor::matching,
};

/// The name of the event in the security log.
const REMOVAL: &str = "second_factor_removal";

fn read(body: Map<String, Value>) -> Result<(Arc<Password>, Zeroizing<String>), Problem> {
    let mut form = Form::new(body);
    let password = form.required("password", fields::password);
    let code = form.required("code", fields::code);
    form.finish_with(password.zip(code))
}

pub(crate) async fn remove_totp(
    State(app): State<Arc<App>>,
    SignedIn { caller, session }: SignedIn,
    context: RequestContext,
    body: JsonObject,
) -> Result<Response, ApiError> {
    let (password, code) = read(body.fields)?;
    let id = caller.user_id();
    let account = app.prove_own_password(id, session, &password, &context).await?;
    let metadata = CommandMetadata::new(caller.actor(), &context);
    let now = app.clock.now();
    let changed = app
        .change_with_code(REMOVAL, id, &metadata, |current| {
            domain::second_factor::remove(current, &account.password_hash, now, |account, factor| {
                matching(&app.cipher, account, factor, &code, now)
            })
        })
        .await
        .map_err(|error| refused_after_proof(id, error))?;
    SecurityEvent::success(REMOVAL).actor(id).subject(id).record();
    tracing::info!(account.id = %id, "a second factor was given up");
    // Program tokens lose the roles that need the factor.
    app.revocations.broadcast(Revocation::Account(id)).await;
    Ok(answer::no_content(id, changed.position))
}
