//! `POST /auth/logout-all`: ends every session of the caller.

use std::sync::Arc;

use auth_client::{Caller, Revocation};
use axum::{extract::State, response::Response};
use events::{Actor, EndReason};
use http_api::{NoFields, RequestContext};

use super::answer;
use crate::{auth::Auth, command_metadata::CommandMetadata, domain, error::ApiError};

pub(crate) async fn logout_all(
    State(auth): State<Arc<Auth>>,
    caller: Caller,
    context: RequestContext,
    _: NoFields,
) -> Result<Response, ApiError> {
    let id = caller.user_id();
    let metadata = CommandMetadata::new(Actor::User(id), &context);
    let changed = auth
        .change_account(id, &metadata, domain::account::end_sessions)
        .await?;
    auth.revoke(Revocation::Account(id)).await;
    let position = match changed.happened {
        true => {
            auth.end_closed_sessions(&changed, EndReason::LogoutAll, &metadata)
                .await
        }
        false => auth.newest_position().await?,
    };
    Ok(answer::no_content(id, position))
}
