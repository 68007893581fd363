//! Revokes all program tokens of an account, for its owner, for an admin or from the command line.

use auth_client::Revocation;
use events::{Account, UserId};

use crate::{
    accounts::Changed, app_state::App, command_metadata::CommandMetadata, domain, error::CommandError,
};

/// Revokes all program tokens of the account `id`, and broadcasts that. Also returns how many there were.
pub(crate) async fn revoke_all(
    app: &App,
    id: UserId,
    metadata: &CommandMetadata,
) -> Result<(Changed, usize), CommandError> {
    let mut revoked = 0;
    let decide = |account: Option<&Account>| {
        let events = domain::program_token::revoke_all(account)?;
        revoked = events.len();
        Ok(events)
    };
    let changed = app.accounts.change(id, metadata, decide).await?;
    // Also when there was none: an earlier process may have ended before it broadcast this.
    app.revocations.broadcast(Revocation::Account(id)).await;
    if revoked > 0 {
        tracing::info!(account.id = %id, "the tokens of programs were taken back");
    }
    Ok((changed, revoked))
}
