//! Finds what a path names, for requests with conditions that do not hold: for what is not there the answer is `404`
//! all the same.

use events::{EndReason, SessionId, TokenId, UserId};

use crate::{
    app_state::App,
    domain::{self, Refusal},
    error::ApiError,
};

pub(super) async fn account(app: &App, id: UserId) -> Result<(), ApiError> {
    let account = app.accounts.load_impersonal(id).await?.state;
    domain::account::existing(account.as_ref())?;
    Ok(())
}

/// Finds the session `id` of `caller`, also one that has ended.
pub(super) async fn session(app: &App, caller: UserId, id: SessionId) -> Result<(), ApiError> {
    let session = app.sessions.load_impersonal(id).await?.state;
    domain::session::end(session.as_ref(), caller, EndReason::Logout, app.clock.now())?;
    Ok(())
}

/// Finds the program token `id` of `caller`, also one that was revoked.
pub(super) async fn program_token(app: &App, caller: UserId, id: TokenId) -> Result<(), ApiError> {
    let account = app.accounts.load_impersonal(caller).await?.state;
    match domain::program_token::revoke(account.as_ref(), id) {
        Err(Refusal::ProgramTokenIsUnknown)
            if app.limits.past(caller, app.accounts.ever_had(caller, id)).await? =>
        {
            Ok(())
        }
        Err(refusal) => Err(refusal.into()),
        Ok(_) => Ok(()),
    }
}
