//! `DELETE /auth/me/totp`: gives the second factor up, for the password and a code.

use std::sync::Arc;

use auth_client::SignedIn;
use axum::{extract::State, response::Response};
use http_api::{Form, JsonObject, Problem, RequestContext};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{answer, fields};
use crate::{
    auth::Auth,
    command_metadata::CommandMetadata,
    domain::{self, Refusal},
    error::ApiError,
    password::Password,
    second_factor::matching,
};

struct Request {
    password: Arc<Password>,
    code: Zeroizing<String>,
}

impl Request {
    fn read(body: Map<String, Value>) -> Result<Self, Problem> {
        let mut form = Form::new(body);
        let password = form.required("password", fields::password);
        let code = form.required("code", fields::code);
        form.finish()?;
        let (Some(password), Some(code)) = (password, code) else {
            return Err(Problem::internal());
        };
        Ok(Self { password, code })
    }
}

pub(crate) async fn remove_totp(
    State(auth): State<Arc<Auth>>,
    SignedIn { caller, session }: SignedIn,
    context: RequestContext,
    body: JsonObject,
) -> Result<Response, ApiError> {
    let request = Request::read(body.fields)?;
    let id = caller.user_id();
    let proven = auth
        .prove_own_password(id, session, &[&request.password], &context)
        .await?;
    let account = proven.account;
    let metadata = CommandMetadata::new(caller.actor(), &context);
    let now = auth.clock.now();
    let mut is_right = false;
    let changed = auth
        .change_account(id, &metadata, |current| {
            let judged =
                domain::second_factor::remove(current, &account.password_hash, now, |account, factor| {
                    matching(&auth.sealing, account, factor, &request.code, now)
                })?;
            is_right = judged.is_right;
            Ok(judged.events)
        })
        .await?;
    if !is_right {
        return Err(Refusal::CodeIsWrong.into());
    }
    tracing::info!(account.id = %id, "a second factor was given up");
    Ok(answer::no_content(id, changed.position))
}
