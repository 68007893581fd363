//! What an operator's command works on: auth without its routes, and the account that the command names.

use anyhow::{Context as _, bail};
use events::{Account, EmailAddress};

use crate::{auth::Auth, config::Config, keys, start::Dependencies};

/// Auth, with the keys that are there: a command makes none.
///
/// # Errors
/// A sentence: the keys are not there, the event store cannot be used.
pub(crate) fn auth(config: &Config, dependencies: &Dependencies) -> anyhow::Result<Auth> {
    let keys = keys::read(&config.keys_directory)?;
    Auth::new(config, dependencies, keys)
}

/// Auth, and the account with the address `email`.
///
/// # Errors
/// A sentence: this is no address, the keys are not there, nobody has this address, the event store cannot be used.
pub(crate) async fn auth_and_account(
    config: &Config,
    dependencies: &Dependencies,
    email: &str,
) -> anyhow::Result<(Auth, Account)> {
    let address = EmailAddress::parse(email).map_err(|error| anyhow::anyhow!("`{email}` {error}"))?;
    let auth = auth(config, dependencies)?;
    let account = auth
        .account_of(&address)
        .await
        .context("the account cannot be read")?;
    match account {
        Some(account) => Ok((auth, account)),
        None => bail!("nobody has registered {address}"),
    }
}
