//! `DELETE /auth/tokens/{id}`: revokes a program token, at once and everywhere. Repeating it changes nothing.

use std::sync::Arc;

use auth_client::{Caller, Revocation};
use axum::{extract::State, response::Response};
use events::TokenId;
use http_api::{NoFields, PathId, RequestContext};

use super::answer;
use crate::{auth::Auth, command_metadata::CommandMetadata, domain, error::ApiError};

pub(crate) async fn revoke_program_token(
    State(auth): State<Arc<Auth>>,
    caller: Caller,
    context: RequestContext,
    token: PathId<TokenId>,
    _: NoFields,
) -> Result<Response, ApiError> {
    let token = token.or_not_found()?;
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
