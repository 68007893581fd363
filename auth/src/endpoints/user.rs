//! An account as clients see it.

use std::collections::BTreeSet;

use events::{Account, Role, Timestamp, UserId};
use serde::Serialize;

/// `{user}`
#[derive(Debug, Serialize)]
pub(crate) struct UserBody {
    user: UserView,
}

/// An account as clients see it.
#[derive(Debug, Serialize)]
pub(crate) struct UserView {
    pub(crate) id: UserId,
    pub(crate) email: String,
    pub(crate) display_name: Option<String>,
    pub(crate) roles: BTreeSet<Role>,
    pub(crate) created_at: Timestamp,
}

impl From<Account> for UserView {
    fn from(account: Account) -> Self {
        Self {
            id: account.id,
            email: account.email,
            display_name: account.display_name,
            roles: account.roles,
            created_at: account.created_at,
        }
    }
}

impl From<Account> for UserBody {
    fn from(account: Account) -> Self {
        Self { user: account.into() }
    }
}
