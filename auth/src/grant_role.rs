//! Gives an account a role from the command line: how the first admin comes to be.

use std::collections::BTreeSet;

use events::{Account, Role, Timestamp, UserId};

use crate::{
    auth::Auth, command_metadata::CommandMetadata, config::Config, last_admin, operator, start::Dependencies,
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

/// Who is about to be given a role. Anybody can register any address, so whoever grants should look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grantee {
    /// Whose account.
    pub user_id: UserId,
    /// The address, as its owner wrote it.
    pub email: String,
    /// When it was registered.
    pub registered_at: Timestamp,
    /// When the last session began of those that were not all ended since.
    pub last_login_at: Option<Timestamp>,
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
    confirm: impl FnOnce(&Grantee) -> anyhow::Result<()>,
) -> anyhow::Result<Granted> {
    let (auth, account) = operator::auth_and_account(config, dependencies, email).await?;
    let id = account.id;
    confirm(&grantee(&auth, account).await?)?;
    let metadata = CommandMetadata::operator();
    let changed = last_admin::grant(&auth, id, &metadata, role).await?;
    Ok(Granted {
        user_id: id,
        roles: changed.account.roles,
        changed: changed.happened,
    })
}

async fn grantee(auth: &Auth, account: Account) -> anyhow::Result<Grantee> {
    let last_login_at = match account.open_sessions.last() {
        Some(last) => auth.session(*last).await?.state.map(|session| session.started_at),
        None => None,
    };
    Ok(Grantee {
        user_id: account.id,
        email: account.email,
        registered_at: account.created_at,
        last_login_at,
    })
}
