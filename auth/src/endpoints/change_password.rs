//! `POST /auth/me/password`: sets a new password, given the old one; ends every other session.

use std::sync::Arc;

use auth_client::{Revocation, SignedIn};
use axum::{extract::State, response::Response};
use events::{Actor, EmailAddress, EndReason, SecretHash};
use http_api::{Form, JsonObject, Problem, RequestContext, SecurityEvent};
use serde_json::{Map, Value};

use super::{answer, fields};
use crate::{
    app_state::App,
    command_metadata::CommandMetadata,
    domain,
    error::ApiError,
    password::{Password, Policy},
    password_verification::{VerifiedPassword, refused_after_proof},
    throttle::Attempt,
};

/// Reads the current password and the new one.
fn read(
    body: Map<String, Value>,
    policy: &Policy,
    email: Option<&EmailAddress>,
) -> Result<(Arc<Password>, Arc<Password>), Problem> {
    let mut form = Form::new(body);
    let current = form.required("current_password", fields::password);
    let new = form.required("new_password", fields::password);
    fields::check_new_password(&mut form, "/new_password", policy, new.as_ref(), email);
    form.finish_with(current.zip(new))
}

pub(crate) async fn change_password(
    State(app): State<Arc<App>>,
    SignedIn { caller, session }: SignedIn,
    context: RequestContext,
    body: JsonObject,
) -> Result<Response, ApiError> {
    let id = caller.user_id();
    let email = EmailAddress::parse(&caller.0.email).ok();
    let (current, new) = read(body.fields, &app.password_policy, email.as_ref())?;
    fields::check_not_breached("/new_password", &app.password_policy, &new).await?;
    let shown = app.accounts.load(id).await?.position();
    let VerifiedPassword { account, which, slot, .. } =
        app.prove_own_passwords(id, session, &[&current, &new], &context).await?;
    let metadata = CommandMetadata::new(Actor::User(id), &context);
    // A repeated change, whose first answer was lost, finds the new password in place.
    let (event, changed) = if which == 1 {
        drop(slot);
        ("password_change_repeated", None)
    } else {
        let hash: SecretHash = app.hasher.hash(&slot, &new).await?.into();
        drop(slot);
        let changed = app.accounts.change(id, &metadata, |now| {
            domain::account::change_password(now, &account.password_hash, &hash, session)
        });
        let changed = changed.await.map_err(|error| refused_after_proof(id, error))?;
        ("password_change", Some(changed))
    };
    SecurityEvent::success(event).actor(id).subject(id).record();
    if let Some(email) = email {
        let attempt = Attempt::at_email(&app.pepper, &email, &context);
        app.throttle.password_was_changed(&attempt).await;
    }
    app.revocations.broadcast(Revocation::Account(id)).await;
    let position = match &changed {
        Some(changed) => {
            let reason = EndReason::PasswordChanged;
            app.sessions.end_closed(changed, reason, &metadata).await
        }
        None => shown,
    };
    Ok(answer::no_content(id, position))
}
