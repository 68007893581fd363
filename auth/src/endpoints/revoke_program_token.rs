//! `DELETE /auth/tokens/{id}`: revokes a program token, at once and everywhere.

use std::sync::Arc;

use auth_client::{Caller, Revocation};
use axum::{
    extract::{Path, State},
    response::Response,
};
use events::TokenId;
use http_api::{NoFields, RequestContext};

use super::answer;
use crate::{
    auth::Auth,
    command_metadata::CommandMetadata,
    domain::{self, Refusal},
    error::ApiError,
};

pub(crate) async fn revoke_program_token(
    State(auth): State<Arc<Auth>>,
    caller: Caller,
    context: RequestContext,
    Path(token): Path<String>,
    _: NoFields,
) -> Result<Response, ApiError> {
    let token: TokenId = token.parse().map_err(|_| Refusal::ProgramTokenIsUnknown)?;
    let id = caller.user_id();
    let metadata = CommandMetadata::new(caller.actor(), &context);
    let changed = auth
        .change_account(id, &metadata, |account| {
            domain::program_token::revoke(account, token)
        })
        .await?;
    auth.revoke(Revocation::Account(id)).await;
    Ok(answer::no_content(id, changed.position))
}
