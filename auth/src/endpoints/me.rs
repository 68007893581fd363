//! `GET /auth/me`: the account of the caller.

use std::sync::Arc;

use auth_client::Caller;
use axum::{extract::State, response::Response};

use super::answer;
use crate::{app_state::App, domain::Refusal, error::ApiError};

pub(crate) async fn me(State(app): State<Arc<App>>, caller: Caller) -> Result<Response, ApiError> {
    let account = app.accounts.load(caller.user_id()).await?;
    let position = account.position();
    let account = account.state.ok_or(Refusal::AccountIsUnknown)?;
    Ok(answer::account(account, position))
}
