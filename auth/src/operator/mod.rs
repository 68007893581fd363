//! The commands of an operator for accounts: importing them, giving roles, offering password resets, revoking tokens,
//! and erasing people. This file has their common parts: auth without its routes, and looking up accounts.

mod account_holder;
mod erase;
mod grant_role;
mod import;
mod offer_reset;
mod revoke_program_tokens;

use std::fmt;

use anyhow::{Context as _, bail};
use events::{EmailAddress, UserId};
use runtime::Metrics;

use crate::{
    app_state::App,
    config::{Config, Dependencies},
    keys,
    metrics::Counters,
    password::Policy,
    pepper_check::check_pepper,
    start::ROLE,
};

pub use account_holder::AccountHolder;
pub use erase::Erased;
pub use grant_role::Granted;
pub use import::{BadLine, Imported};

/// An operator at the command line. The caller has recorded each command as an operation, whose id is the correlation
/// id of its events.
pub struct Operator {
    app: App,
}

impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operator").finish_non_exhaustive()
    }
}

impl Operator {
    /// Uses the existing keys; a command creates none.
    ///
    /// # Errors
    /// A sentence: the keys are missing or belong to another event store, the configuration cannot be used.
    pub async fn new(config: &Config, dependencies: &Dependencies) -> anyhow::Result<Self> {
        let head = dependencies.store.head().await;
        let keys = match head.context("the event store cannot be read")? {
            // The first start makes them.
            0 => keys::read(&config.keys_directory)?,
            _ => keys::open(&config.keys_directory, false)?,
        };
        check_pepper(&config.keys_directory, &*dependencies.store, &keys.pepper).await?;
        let breached = config.breached_passwords.as_deref();
        let password_policy = Policy::open(config.min_password_characters, breached)?;
        let counters = Counters::new(&Metrics::new(ROLE));
        let app = App::new(config, dependencies, keys, password_policy, counters)?;
        Ok(Self { app })
    }

    /// The person who registered `email`.
    ///
    /// # Errors
    /// A sentence: this is not an address, no account has it, the event store cannot be used.
    pub async fn find(&self, email: &str) -> anyhow::Result<AccountHolder> {
        let address = address(email)?;
        match self.find_also_erased(address.as_str()).await? {
            holder if holder.is_erased => bail!("nobody has registered {address}"),
            holder => Ok(holder),
        }
    }

    /// The person with this address or id, even if they were erased and the consequences are not complete yet. Their
    /// key may be damaged or lost, and their account may be unreadable.
    ///
    /// # Errors
    /// Those of [`Self::find`], and when there is no account with this id.
    pub async fn find_also_erased(&self, person: &str) -> anyhow::Result<AccountHolder> {
        const UNREAD: &str = "the account cannot be read";
        if let Ok(id) = person.parse::<UserId>() {
            let holder = AccountHolder::of(&self.app, id).await.context(UNREAD)?;
            return holder.with_context(|| format!("there is no account {id}"));
        }
        let address = address(person)?;
        let key = self.app.pepper.key_of(&address);
        let claim = self.app.accounts.claims.load(&key).await.context(UNREAD)?.state;
        let holder = match claim.and_then(|claim| claim.holder) {
            Some(id) => AccountHolder::of(&self.app, id).await.context(UNREAD)?,
            None => None,
        };
        holder.with_context(|| format!("nobody has registered {address}"))
    }
}

fn address(text: &str) -> anyhow::Result<EmailAddress> {
    EmailAddress::parse(text).map_err(|error| anyhow::anyhow!("`{text}` {error}"))
}
