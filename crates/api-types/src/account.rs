//! Accounts: what people send about their own, and what they see of it.

use std::collections::BTreeSet;

use events::{Role, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::stand_ins;

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// Which account.
    #[schema(value_type = stand_ins::Id)]
    pub id: UserId,
    /// The e-mail address, as the person wrote it.
    pub email: String,
    /// The name to show.
    #[schema(required = true, max_length = 100)]
    pub display_name: Option<String>,
    /// What the account may do.
    #[schema(value_type = Vec<stand_ins::Role>)]
    pub roles: BTreeSet<Role>,
    /// When the account came to be.
    #[schema(value_type = stand_ins::Instant)]
    pub created_at: Timestamp,
}

impl From<events::Account> for User {
    fn from(account: events::Account) -> Self {
        Self {
            id: account.id,
            email: account.email,
            display_name: account.display_name,
            roles: account.roles,
            created_at: account.created_at,
        }
    }
}

/// One account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserBody {
    /// The account.
    pub user: User,
}

impl From<events::Account> for UserBody {
    fn from(account: events::Account) -> Self {
        Self { user: account.into() }
    }
}

/// A new account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// The e-mail address. Two spellings of one address are one address.
    #[schema(max_length = 254, format = Email)]
    pub email: String,
    /// The password.
    #[schema(value_type = stand_ins::NewPassword)]
    pub password: String,
    /// The name to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<stand_ins::DisplayName>)]
    pub display_name: Option<String>,
}

/// A new name to show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rename {
    /// The name to show; `null` clears it, absent keeps it.
    #[schema(value_type = Option<stand_ins::DisplayName>)]
    pub display_name: Option<String>,
}

/// A new password, for whoever knows the present one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// The present password.
    #[schema(format = Password)]
    pub current_password: String,
    /// The new one.
    #[schema(value_type = stand_ins::NewPassword)]
    pub new_password: String,
}

/// A new password, for whoever has the token of a reset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetPassword {
    /// From an operator or an admin. Good for an hour, once.
    pub reset_token: String,
    /// The new password.
    #[schema(value_type = stand_ins::NewPassword)]
    pub new_password: String,
}

/// The wish to be erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EraseMe {
    /// The password of the account.
    #[schema(format = Password)]
    pub password: String,
    /// What the authenticator app shows, or a recovery code: for an account with a second factor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}
