//! Erases a person from the command line, for an operator who is asked to.

use anyhow::{Context, bail};
use events::{Account, EmailAddress, UserId};

use crate::{
    account_holder::AccountHolder, auth::Auth, command_metadata::CommandMetadata, config::Config, domain,
    operator, start::Dependencies,
};

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erased {
    /// Whose account it was.
    pub user_id: UserId,
    /// False when they were erased before, and only what follows from it was missing.
    pub changed: bool,
}

/// Erases `person`, named by the address that they have registered or by the id of their account, once `confirm` has seen who it
/// is and not refused. Their key may be damaged or lost.
///
/// # Errors
/// A sentence: the keys are not there, there is no such person, it is the last admin's, what `confirm` says, the event store
/// or a database cannot be used.
pub async fn erase_if(
    config: &Config,
    dependencies: &Dependencies,
    person: &str,
    confirm: impl FnOnce(&AccountHolder) -> anyhow::Result<()>,
) -> anyhow::Result<Erased> {
    let auth = operator::auth(config, dependencies)?;
    let metadata = CommandMetadata::operator();
    let account = find(&auth, person).await?;
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

async fn find(auth: &Auth, person: &str) -> anyhow::Result<Account> {
    const UNREAD: &str = "the account cannot be read";
    if let Ok(id) = person.parse::<UserId>() {
        let account = auth.impersonal_account(id).await.context(UNREAD)?;
        return account.state.with_context(|| format!("there is no account {id}"));
    }
    let address = EmailAddress::parse(person).map_err(|error| anyhow::anyhow!("`{person}` {error}"))?;
    match auth.holder_of(&address).await.context(UNREAD)? {
        Some(account) => Ok(account),
        None => bail!("nobody has registered {address}"),
    }
}
