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
    let VerifiedPassword { account, which, slot, .. } =
        app.prove_own_passwords(id, session, &[&current, &new], &context).await?;
    let metadata = CommandMetadata::new(Actor::User(id), &context);
    // A repeated change, whose first answer was lost, finds the new password in place.
    let (event, hash) = match which {
        1 => ("password_change_repeated", None),
        _ => ("password_change", Some(SecretHash::from(app.hasher.hash(&slot, &new).await?))),
    };
    drop(slot);
    let verified = &account.password_hash;
    let changed = app
        .accounts
        .change(id, &metadata, |now| match &hash {
            Some(hash) => domain::account::change_password(now, verified, hash, session),
            None => domain::account::repeat_password_change(now, verified, session),
        })
        .await
        .map_err(|error| refused_after_proof(id, error))?;
    SecurityEvent::success(event).actor(id).subject(id).record();
    if let Some(email) = email {
        let attempt = Attempt::at_email(&app.pepper, &email, &context);
        app.throttle.password_was_changed(&attempt).await;
    }
    app.revocations.broadcast(Revocation::Account(id)).await;
    let position = match changed.happened {
        true => app.sessions.end_closed(&changed, EndReason::PasswordChanged, &metadata).await,
        false => app.accounts.newest_position().await?,
    };
    Ok(answer::no_content(id, position))
}
