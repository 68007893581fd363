//! `GET /auth/me`: the account of the caller.

use std::sync::Arc;

use api_types::UserBody;
use auth_client::Caller;
use axum::{extract::State, response::Response};
use http::StatusCode;

use super::answer;
use crate::{auth::Auth, domain::Refusal, error::ApiError};

pub(crate) async fn me(State(auth): State<Arc<Auth>>, caller: Caller) -> Result<Response, ApiError> {
    let id = caller.user_id();
    let account = auth.account(id).await?;
    let position = account.position();
    let body = UserBody::from(account.state.ok_or(Refusal::AccountIsUnknown)?);
    Ok(answer::json(StatusCode::OK, &body, id, position))
}
