//! Password resets: an operator or an admin offers one, and the holder of its token can use it once.

use serde::{Deserialize, Serialize};

use crate::{AdminReason, SecretHash, Timestamp};

/// A reset was offered. It takes the place of one that was offered before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResetOffered {
    /// Hex SHA-256 of the token. Empty in what comes from the bus.
    #[serde(default)]
    pub reset_hash: SecretHash,
    /// Until when it can be used.
    pub expires_at: Timestamp,
    /// Whether the second factor is given up with the password.
    pub removes_second_factor: bool,
    /// Why, if it was an admin who said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_reason: Option<AdminReason>,
}

/// The reset was used: there is a new password, and every session is closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordReset {
    /// PHC string. Empty in what comes from the bus.
    #[serde(default)]
    pub password_hash: SecretHash,
    /// Whether the second factor was given up.
    pub removes_second_factor: bool,
}

/// A reset that was offered and not used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingReset {
    /// Hex SHA-256 of the token.
    pub reset_hash: SecretHash,
    /// Until when it can be used.
    pub expires_at: Timestamp,
    /// Whether the second factor is given up with the password.
    pub removes_second_factor: bool,
}

impl From<&ResetOffered> for PendingReset {
    fn from(offered: &ResetOffered) -> Self {
        Self {
            reset_hash: offered.reset_hash.clone(),
            expires_at: offered.expires_at,
            removes_second_factor: offered.removes_second_factor,
        }
    }
}
