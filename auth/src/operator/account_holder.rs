//! Whose account it is that an operator is about to change. Anybody can register any address, so whoever changes it should
//! look.

use events::{Account, Timestamp, UserId};

use crate::auth::Auth;

/// Who is about to be given a role, or erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountHolder {
    pub user_id: UserId,
    /// The address, as its owner wrote it; `None` when the key of the account is damaged or lost.
    pub email: Option<String>,
    /// When it was registered.
    pub registered_at: Timestamp,
    /// When somebody last logged in, also when that session has ended.
    pub last_login_at: Option<Timestamp>,
    /// Whether they were erased, so that only what follows from it may be missing.
    pub is_erased: bool,
}

impl AccountHolder {
    /// Who has `account`.
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
