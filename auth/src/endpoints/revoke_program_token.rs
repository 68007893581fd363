//! `DELETE /auth/tokens/{id}`: revokes a program token, at once and everywhere. Repeating it changes nothing.

use std::sync::Arc;

use auth_client::{Caller, Revocation};
use axum::{extract::State, response::Response};
use events::{Account, TokenId};
use http_api::{NoFields, PathId, RequestContext, TargetConditions};

use super::{answer, target};
use crate::{
    app_state::App,
    command_metadata::CommandMetadata,
    domain::{self, Refusal},
    error::{ApiError, CommandError},
};

pub(crate) async fn revoke_program_token(
    State(app): State<Arc<App>>,
    caller: Caller,
    context: RequestContext,
    token: PathId<TokenId>,
    conditions: TargetConditions,
    _: NoFields,
) -> Result<Response, ApiError> {
    let token = token.or_not_found()?;
    let id = caller.user_id();
    conditions.check_on(target::program_token(&app, id, token)).await?;
    let metadata = CommandMetadata::new(caller.actor(), &context);
    let revoke = |account: Option<&Account>| domain::program_token::revoke(account, token);
    let position = match app.accounts.change(id, &metadata, revoke).await {
        Ok(changed) => changed.position,
        Err(CommandError::Refused(Refusal::ProgramTokenIsUnknown))
            if app.limits.past(id, app.accounts.ever_had(id, token)).await? =>
        {
            app.accounts.newest_position().await?
        }
        Err(error) => return Err(error.into()),
    };
    app.revocations.broadcast(Revocation::Account(id)).await;
    Ok(answer::no_content(id, position))
}
