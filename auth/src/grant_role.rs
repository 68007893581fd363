//! Gives an account a role from the command line: how the first admin comes to be.

use std::collections::BTreeSet;

use events::{Role, UserId};

use crate::{
    account_holder::AccountHolder, command_metadata::CommandMetadata, config::Config, last_admin, operator,
    start::Dependencies,
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
    grant_if(config, dependencies, email, role, |_| Ok(())).await
}

/// The same, once `confirm` has seen who it is and not refused.
///
/// # Errors
/// The same, and what `confirm` says.
pub async fn grant_if(
    config: &Config,
    dependencies: &Dependencies,
    email: &str,
    role: Role,
    confirm: impl FnOnce(&AccountHolder) -> anyhow::Result<()>,
) -> anyhow::Result<Granted> {
    let (auth, account) = operator::auth_and_account(config, dependencies, email).await?;
    let id = account.id;
    confirm(&AccountHolder::of(&auth, &account).await?)?;
    let metadata = CommandMetadata::operator();
    let changed = last_admin::grant(&auth, id, &metadata, role).await?;
    Ok(Granted {
        user_id: id,
        roles: changed.account.roles,
        changed: changed.happened,
    })
}
