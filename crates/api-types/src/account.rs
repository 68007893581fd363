//! Accounts: requests about the caller's own account, and their answers.

use std::collections::BTreeSet;

use events::{Role, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::stand_ins;

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// The id of the account.
    #[schema(value_type = stand_ins::Id)]
    pub id: UserId,
    /// The e-mail address, as the person wrote it.
    pub email: String,
    /// The display name.
    #[schema(required = true, max_length = 100)]
    pub display_name: Option<String>,
    /// The roles of the account.
    #[schema(value_type = Vec<stand_ins::Role>)]
    pub roles: BTreeSet<Role>,
    /// When the account was registered.
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
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// The e-mail address. Different spellings of one address count as one address.
    #[schema(max_length = 254, format = Email)]
    pub email: String,
    /// The password.
    #[schema(value_type = stand_ins::NewPassword)]
    pub password: String,
    /// The display name.
    #[schema(value_type = Option<stand_ins::DisplayName>)]
    pub display_name: Option<String>,
}

/// A new display name.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rename {
    /// The display name; `null` removes it, and without the member it stays.
    #[schema(value_type = Option<stand_ins::DisplayName>)]
    pub display_name: Option<String>,
}

/// A new password, from a person who knows the current one.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// The current password.
    #[schema(format = Password)]
    pub current_password: String,
    /// The new password.
    #[schema(value_type = stand_ins::NewPassword)]
    pub new_password: String,
}

/// A new password, from a person with the token of a reset.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetPassword {
    /// The token from an operator or an admin. It can be used once within an hour.
    pub reset_token: String,
    /// The new password.
    #[schema(value_type = stand_ins::NewPassword)]
    pub new_password: String,
}

/// A request to erase the caller's account.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EraseMe {
    /// The password of the account.
    #[schema(format = Password)]
    pub password: String,
    /// A code of the authenticator app or a recovery code, if the account has a second factor.
    pub code: Option<String>,
}
