//! The holder of an account that an operator is about to change. Anybody can register any address, so the operator
//! should check it.

use events::{Account, Timestamp, UserId};

use crate::{app_state::App, error::CommandError};

/// The person who is about to get a role, or to be erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountHolder {
    pub user_id: UserId,
    /// The address, as its owner wrote it; `None` when the key of the account is damaged or lost, or its first record
    /// cannot be read.
    pub email: Option<String>,
    /// When the account was registered; `None` when this build cannot read the account.
    pub registered_at: Option<Timestamp>,
    /// When somebody last logged in, even if that session has ended.
    pub last_login_at: Option<Timestamp>,
    /// Whether they were erased, so that only consequences may be missing.
    pub is_erased: bool,
}

impl AccountHolder {
    /// The holder of the account `id`, if there is one.
    pub(super) async fn of(app: &App, id: UserId) -> Result<Option<Self>, CommandError> {
        match app.accounts.load_impersonal(id).await {
            Err(failure) if failure.is_unreadable() => {
                let is_erased = app.is_erased(id).await?;
                let email = app.registered_address(id).await?;
                Ok(is_erased.map(|is_erased| Self {
                    user_id: id,
                    email: email.map(|email| email.as_str().to_owned()),
                    registered_at: None,
                    last_login_at: None,
                    is_erased,
                }))
            }
            account => match account?.state {
                Some(account) => Ok(Some(Self::of_readable(app, &account).await?)),
                None => Ok(None),
            },
        }
    }

    async fn of_readable(app: &App, account: &Account) -> Result<Self, CommandError> {
        Ok(Self {
            user_id: account.id,
            email: match app.accounts.load(account.id).await {
                Err(failure) if failure.is_unusable_key() => None,
                other => other?.state.map(|account| account.email),
            },
            registered_at: Some(account.created_at),
            last_login_at: account.last_login_at,
            is_erased: account.erased,
        })
    }
}
