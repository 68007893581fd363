//! `DELETE /auth/me`: erases the caller, given the password, and a code if the account has a second factor.

use std::sync::Arc;

use auth_client::SignedIn;
use axum::{extract::State, response::Response};
use events::{Account, SecondFactor};
use http::{HeaderName, HeaderValue};
use http_api::{FieldError, Form, JsonObject, Problem, RequestContext, SecurityEvent};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{answer, fields};
use crate::{
    app_state::App, command_metadata::CommandMetadata, domain, error::ApiError, password::Password,
    password_verification::refused_after_proof, second_factor::matching,
};

/// The header with the receipt of the erasure.
const RECEIPT: HeaderName = HeaderName::from_static("erasure-receipt");

fn read(body: Map<String, Value>) -> Result<(Arc<Password>, Option<Zeroizing<String>>), Problem> {
    let mut form = Form::new(body);
    let password = form.required("password", fields::password);
    let code = form.optional("code", fields::code).into_value();
    Ok((form.finish_with(password)?, code))
}

pub(crate) async fn erase_me(
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
    let matches = |account: &Account, factor: &SecondFactor| {
        matching(&app.cipher, account, factor, code.as_ref()?, now)
    };
    if account.confirmed_second_factor().is_some() {
        if code.is_none() {
            let missing = FieldError::new("required", "the account has a second factor: send a code of it");
            return Err(Problem::validation(vec![missing.at("/code")]).into());
        }
        app.change_with_code("erasure", id, &metadata, |current| {
            domain::second_factor::check_before_erasure(current, &account.password_hash, now, matches)
        })
        .await
        .map_err(|error| refused_after_proof(id, error))?;
    }
    let decide = |current: Option<&Account>| {
        domain::second_factor::erase(current, &account.password_hash, now, matches)
    };
    let erasure = app.erase(id, &metadata, decide).await;
    let erasure = erasure.map_err(|error| refused_after_proof(id, error))?;
    SecurityEvent::success("erasure").actor(id).subject(id).record();
    tracing::info!(account.id = %id, "a person was erased");
    let mut response = answer::no_content(id, erasure.position);
    let receipt = erasure.receipt.map(|receipt| HeaderValue::try_from(receipt.to_string()));
    if let Some(Ok(receipt)) = receipt {
        response.headers_mut().insert(RECEIPT, receipt);
    }
    Ok(response)
}
