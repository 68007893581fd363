//! Takes all tokens back from the programs of an account, for its owner, for an admin or from the command line.

use auth_client::Revocation;
use events::{CorrelationId, UserId};

use crate::{
    auth::{Auth, Changed},
    command_metadata::CommandMetadata,
    domain,
    error::CommandError,
    operator::Operator,
};

impl Operator {
    /// Takes all tokens back from the programs of the account `id`. Sessions stay.
    ///
    /// # Errors
    /// A sentence: the account is not there any more, the event store cannot be used.
    pub async fn revoke_tokens(&self, id: UserId, operation: CorrelationId) -> anyhow::Result<()> {
        revoke_all(&self.auth, id, &CommandMetadata::operator(operation)).await?;
        Ok(())
    }
}

/// Takes all tokens back from the programs of the account `id`, and tells everyone.
pub(crate) async fn revoke_all(
    auth: &Auth,
    id: UserId,
    metadata: &CommandMetadata,
) -> Result<Changed, CommandError> {
    let changed = auth
        .change_account(id, metadata, domain::program_token::revoke_all)
        .await?;
    // Also when there was none: whoever took them back may have died before telling anyone.
    auth.revoke(Revocation::Account(id)).await;
    tracing::info!(account.id = %id, "the tokens of programs were taken back");
    Ok(changed)
}
