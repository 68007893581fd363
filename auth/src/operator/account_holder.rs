//! The holder of an account that an operator is about to change. Anybody can register any address, so the operator
//! should check it.

use events::{Account, Timestamp, UserId};

use crate::auth::Auth;

/// The person who is about to get a role, or to be erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountHolder {
    pub user_id: UserId,
    /// The address, as its owner wrote it; `None` when the key of the account is damaged or lost.
    pub email: Option<String>,
    /// When the account was registered.
    pub registered_at: Timestamp,
    /// When somebody last logged in, even if that session has ended.
    pub last_login_at: Option<Timestamp>,
    /// Whether they were erased, so that only consequences may be missing.
    pub is_erased: bool,
}

impl AccountHolder {
    /// The holder of `account`.
    pub(super) async fn of(auth: &Auth, account: &Account) -> anyhow::Result<Self> {
        Ok(Self {
            user_id: account.id,
            email: match auth.account(account.id).await {
                Err(failure) if failure.is_unusable_key() => None,
                other => other?.state.map(|account| account.email),
            },
            registered_at: account.created_at,
            last_login_at: account.last_login_at,
            is_erased: account.erased,
        })
    }
}
