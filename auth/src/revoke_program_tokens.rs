//! Takes all tokens back from the programs of an account, for its owner, for an admin or from the command line.

use auth_client::Revocation;
use events::{Account, UserId};

use crate::{
    auth::{Auth, Changed},
    command_metadata::CommandMetadata,
    domain,
    error::CommandError,
};

/// Takes all tokens back from the programs of the account `id`, and tells everyone. Returns how many there were, too.
pub(crate) async fn revoke_all(
    auth: &Auth,
    id: UserId,
    metadata: &CommandMetadata,
) -> Result<(Changed, usize), CommandError> {
    let mut revoked = 0;
    let decide = |account: Option<&Account>| {
        let events = domain::program_token::revoke_all(account)?;
        revoked = events.len();
        Ok(events)
    };
    let changed = auth.change_account(id, metadata, decide).await?;
    // Also when there was none: whoever took them back may have died before telling anyone.
    auth.revoke(Revocation::Account(id)).await;
    tracing::info!(account.id = %id, "the tokens of programs were taken back");
    Ok((changed, revoked))
}
