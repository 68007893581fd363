//! `POST /auth/users/{id}/disable` and `/enable`: an admin takes an account out of use, and back.

use std::sync::Arc;

use auth_client::{Caller, Revocation};
use axum::{
    extract::{Path, State},
    response::Response,
};
use events::{Actor, EndReason, Role, UserId};
use http::StatusCode;
use service::RequestContext;

use super::{answer, user::UserBody};
use crate::{
    admins,
    auth::{Auth, Which},
    domain::{self, Refusal},
    error::ApiError,
    ledger::Cause,
};

pub(crate) async fn disable(
    State(auth): State<Arc<Auth>>,
    caller: Caller,
    context: RequestContext,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let (id, cause) = read(&caller, &context, &id)?;
    let (account, done) = admins::disable(&auth, id, &cause).await?;
    // Also when it was disabled before: a crash may have kept its sessions from being ended.
    let ended = auth
        .end_sessions(id, Which::All, EndReason::Disabled, &cause)
        .await?;
    Ok(answer::json(
        StatusCode::OK,
        &UserBody::from(account),
        id,
        done.position.max(ended),
    ))
}

pub(crate) async fn enable(
    State(auth): State<Arc<Auth>>,
    caller: Caller,
    context: RequestContext,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let (id, cause) = read(&caller, &context, &id)?;
    let (account, done) = auth.change_account(id, &cause, domain::account::enable).await?;
    if done.changed {
        auth.revoke(Revocation::Account(id)).await;
    }
    Ok(answer::json(
        StatusCode::OK,
        &UserBody::from(account),
        id,
        done.position,
    ))
}

fn read(caller: &Caller, context: &RequestContext, id: &str) -> Result<(UserId, Cause), ApiError> {
    caller.require(Role::Admin)?;
    let id = id.parse().map_err(|_| Refusal::AccountIsUnknown)?;
    Ok((id, Cause::new(Actor::User(caller.user_id()), context)))
}
