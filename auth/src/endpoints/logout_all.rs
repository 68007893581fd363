//! `POST /auth/logout-all`: ends every session of the caller.

use std::sync::Arc;

use auth_client::{Caller, Revocation};
use axum::{extract::State, response::Response};
use events::{Actor, EndReason};
use http_api::RequestContext;

use super::answer;
use crate::{auth::Auth, domain, error::ApiError, ledger::Cause};

pub(crate) async fn logout_all(
    State(auth): State<Arc<Auth>>,
    caller: Caller,
    context: RequestContext,
) -> Result<Response, ApiError> {
    let id = caller.user_id();
    let cause = Cause::new(Actor::User(id), &context);
    let changed = auth
        .change_account(id, &cause, domain::account::end_sessions)
        .await?;
    auth.revoke(Revocation::Account(id)).await;
    let position = auth
        .end_closed_sessions(&changed, EndReason::LogoutAll, &cause)
        .await;
    Ok(answer::no_content(id, position))
}
