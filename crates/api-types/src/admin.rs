//! Accounts as admins see and change them.

use events::Role;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{User, stand_ins};

/// A part of the list of accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ManagedUsers {
    /// The accounts, the oldest first.
    #[schema(max_items = 200)]
    pub items: Vec<ManagedUser>,
    /// Send it as `cursor` with the same query to read on; `null` at the end.
    #[schema(required = true)]
    pub next_cursor: Option<String>,
}

/// An account, and whether it can be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ManagedUser {
    /// The account.
    #[serde(flatten)]
    pub user: User,
    /// Whether an admin has taken it out of use.
    pub disabled: bool,
}

/// The roles of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetRoles {
    /// All of them; those that are missing are taken away.
    #[schema(value_type = Vec<stand_ins::Role>)]
    pub roles: Vec<Role>,
}
