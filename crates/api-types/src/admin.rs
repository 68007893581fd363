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
    /// Why, for the audit trail: one line without an e-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<stand_ins::AdminReason>)]
    pub reason: Option<String>,
}

/// Why an admin does something to an account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdminAct {
    /// For the audit trail: one line without an e-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<stand_ins::AdminReason>)]
    pub reason: Option<String>,
}

/// The roles that count in sessions with a second factor only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecondFactorRoles {
    /// All of them; those that an operator has set are always among them.
    #[schema(value_type = Vec<stand_ins::Role>)]
    pub roles: Vec<Role>,
}

/// How a password is to be reset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OfferReset {
    /// Whether the second factor is given up with the password; absent: it stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remove_second_factor: Option<bool>,
    /// Why, for the audit trail: one line without an e-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<stand_ins::AdminReason>)]
    pub reason: Option<String>,
}

/// A reset that was offered. It takes the place of any that was offered before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OfferedReset {
    /// To be handed to whoever forgot the password. Shown this once.
    pub reset_token: String,
    /// Until when it is good.
    #[schema(value_type = stand_ins::Instant)]
    pub expires_at: Timestamp,
}
