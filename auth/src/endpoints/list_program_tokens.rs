//! `GET /auth/tokens`: the program tokens of the caller.

use std::sync::Arc;

use api_types::ProgramTokens;
use auth_client::Caller;
use axum::{extract::State, response::Response};
use http::StatusCode;

use super::answer;
use crate::{app_state::App, domain::Refusal, error::ApiError};

pub(crate) async fn list_program_tokens(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Response, ApiError> {
    let account = app.accounts.load(caller.user_id()).await?;
    let position = account.position();
    let now = app.clock.now();
    let tokens = account.state.ok_or(Refusal::AccountIsUnknown)?.program_tokens;
    let items = tokens.into_iter().rev().filter(|token| token.is_live(now)).map(Into::into).collect();
    Ok(answer::json(StatusCode::OK, &ProgramTokens { items }, caller.user_id(), position))
}
