//! Accounts as admins see and change them.

use events::{Role, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{User, stand_ins};

/// A part of the list of accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ManagedUsers {
    /// The accounts, the oldest first.
    #[schema(max_items = 200)]
    pub items: Vec<ManagedUser>,
    /// Send it as `cursor` with the same query to get the next page; `null` at the end.
    #[schema(required = true)]
    pub next_cursor: Option<String>,
}

/// An account and whether it is disabled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ManagedUser {
    /// The account.
    #[serde(flatten)]
    pub user: User,
    /// Whether an admin has disabled the account.
    pub disabled: bool,
}

/// The roles of an account.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetRoles {
    /// All roles of the account; roles that are not listed are removed.
    #[schema(value_type = Vec<stand_ins::Role>)]
    pub roles: Vec<Role>,
    /// The reason for the audit trail: one line without an e-mail address.
    #[schema(value_type = Option<stand_ins::AdminReason>)]
    pub reason: Option<String>,
}

/// The reason for an admin's action on an account.
#[derive(Debug, Clone, Default, PartialEq, Eq, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdminAct {
    /// The reason for the audit trail: one line without an e-mail address.
    #[schema(value_type = Option<stand_ins::AdminReason>)]
    pub reason: Option<String>,
}

/// The roles that count only in sessions with a second factor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecondFactorRoles {
    /// All of them; roles that the operator has configured are always included.
    #[schema(value_type = Vec<stand_ins::Role>)]
    pub roles: Vec<Role>,
}

/// How a password is to be reset.
#[derive(Debug, Clone, Default, PartialEq, Eq, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OfferReset {
    /// Whether the second factor is removed too; without the member it stays.
    pub remove_second_factor: Option<bool>,
    /// The reason for the audit trail: one line without an e-mail address.
    #[schema(value_type = Option<stand_ins::AdminReason>)]
    pub reason: Option<String>,
}

/// A password reset that was offered. It replaces any earlier offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OfferedReset {
    /// The token for the person who forgot the password. It is shown only once.
    pub reset_token: String,
    /// When the token expires.
    #[schema(value_type = stand_ins::Instant)]
    pub expires_at: Timestamp,
}
