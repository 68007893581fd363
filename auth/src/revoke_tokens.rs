//! Takes all tokens back from the programs of an account, for its owner, for an admin or from the command line.

use auth_client::Revocation;
use events::UserId;

use crate::{
    auth::{Auth, Changed},
    command_metadata::CommandMetadata,
    config::Config,
    domain,
    error::CommandError,
    operator,
    start::Dependencies,
};

/// Takes all tokens back from the programs of the account with the address `email`. Sessions stay.
///
/// # Errors
/// A sentence: the keys are not there, nobody has this address, the event store cannot be used.
pub async fn revoke_tokens(config: &Config, dependencies: &Dependencies, email: &str) -> anyhow::Result<()> {
    let (auth, account) = operator::auth_and_account(config, dependencies, email).await?;
    revoke_all(&auth, account.id, &CommandMetadata::operator()).await?;
    Ok(())
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
