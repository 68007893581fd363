//! Gives an account a role from the command line: how the first admin comes to be.

use std::collections::BTreeSet;

use anyhow::{Context, bail};
use events::{Account, EmailAddress, Role, UserId};

use crate::{
    auth::Auth, command_metadata::CommandMetadata, config::Config, keys, last_admin, start::Dependencies,
};

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// Whose account.
    pub user_id: UserId,
    /// Their roles now.
    pub roles: BTreeSet<Role>,
    /// False when they had the role already.
    pub changed: bool,
}

/// Gives the account with the address `email` the role `role`.
///
/// # Errors
/// A sentence: the keys are not there, nobody has this address, the event store cannot be used.
pub async fn grant(
    config: &Config,
    dependencies: &Dependencies,
    email: &str,
    role: Role,
) -> anyhow::Result<Granted> {
    let address = EmailAddress::parse(email).map_err(|error| anyhow::anyhow!("`{email}` {error}"))?;
    let keys = keys::read(&config.keys_directory)?;
    let auth = Auth::new(config, dependencies, keys)?;
    let account = auth
        .account_of(&address)
        .await
        .context("the account cannot be read")?;
    let Some(Account { id, .. }) = account else {
        bail!("nobody has registered {address}")
    };
    let metadata = CommandMetadata::operator();
    let changed = last_admin::grant(&auth, id, &metadata, role).await?;
    Ok(Granted {
        user_id: id,
        roles: changed.account.roles,
        changed: changed.happened,
    })
}
