//! Takes all tokens back from the programs of an account, for its owner, for an admin or from the command line.

use auth_client::Revocation;
use events::{Account, CorrelationId, UserId};

use crate::{
    auth::{Auth, Changed},
    command_metadata::CommandMetadata,
    domain,
    error::CommandError,
    operator::Operator,
};

impl Operator {
    /// Takes all tokens back from the programs of the account `id`, and returns how many there were. Sessions stay.
    ///
    /// # Errors
    /// A sentence: the account is not there any more, the event store cannot be used.
    pub async fn revoke_tokens(&self, id: UserId, operation: CorrelationId) -> anyhow::Result<usize> {
        let (_, revoked) = revoke_all(&self.auth, id, &CommandMetadata::operator(operation)).await?;
        Ok(revoked)
    }
}

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
