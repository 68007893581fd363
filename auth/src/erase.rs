//! Erases a person from the command line, for an operator who is asked to.

use anyhow::{Context, bail};
use events::{EmailAddress, UserId};

use crate::{
    account_holder::AccountHolder, command_metadata::CommandMetadata, config::Config, domain, operator,
    start::Dependencies,
};

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erased {
    /// Whose account it was.
    pub user_id: UserId,
    /// False when they were erased before, and only what follows from it was missing.
    pub changed: bool,
}

/// Erases the person who has registered `email`, once `confirm` has seen who it is and not refused.
///
/// # Errors
/// A sentence: the keys are not there, nobody has this address, it is the last admin's, what `confirm` says, the event store
/// or a database cannot be used.
pub async fn erase_if(
    config: &Config,
    dependencies: &Dependencies,
    email: &str,
    confirm: impl FnOnce(&AccountHolder) -> anyhow::Result<()>,
) -> anyhow::Result<Erased> {
    let address = EmailAddress::parse(email).map_err(|error| anyhow::anyhow!("`{email}` {error}"))?;
    let auth = operator::auth(config, dependencies)?;
    let metadata = CommandMetadata::operator();
    let holder = auth
        .holder_of(&address)
        .await
        .context("the account cannot be read")?;
    let Some(account) = holder else {
        bail!("nobody has registered {address}")
    };
    if account.erased {
        auth.finish_erasure(account.id, &metadata).await?;
        return Ok(Erased {
            user_id: account.id,
            changed: false,
        });
    }
    confirm(&AccountHolder::of(&auth, &account).await?)?;
    auth.erase(account.id, &metadata, domain::account::erase).await?;
    Ok(Erased {
        user_id: account.id,
        changed: true,
    })
}
