//! Tokens that people make for their programs: what happens to them, and what the account knows of each.

use std::{collections::BTreeSet, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{SecretHash, Timestamp, TokenId, named::named};

/// How many program tokens an account can have at once.
pub const MAX_PROGRAM_TOKENS: usize = 50;

named! {
    /// What a program may do with its token.
    Scope {
        /// Read the tasks of the account.
        TasksRead = "tasks:read";
        /// Change the tasks of the account.
        TasksWrite = "tasks:write";
        /// Read as much of the audit trail as the account may.
        AuditRead = "audit:read";
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::named(text)
            .ok_or_else(|| format!("`{text}` is not a scope: expected tasks:read, tasks:write or audit:read"))
    }
}

/// A program token was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramTokenCreated {
    /// The token that this is about.
    pub token: TokenId,
    /// The name that the person chose.
    pub name: String,
    /// What it gives access to.
    pub scopes: BTreeSet<Scope>,
    /// Hex SHA-256 of the token. Empty in what comes from the bus.
    #[serde(default)]
    pub token_hash: SecretHash,
    /// When it runs out by itself.
    pub expires_at: Option<Timestamp>,
    /// Whether it was made in a session that began with a second factor. Tokens from before this was recorded count
    /// as made without one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub second_factor: bool,
}

/// A program token was used for the first time in a day or longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramTokenUsed {
    /// The token that this is about.
    pub token: TokenId,
}

/// A program token was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramTokenRevoked {
    /// The token that this is about.
    pub token: TokenId,
}

/// A program token as its account knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramToken {
    /// The id of the token.
    pub id: TokenId,
    /// What the person calls it.
    pub name: String,
    /// What it gives access to.
    pub scopes: BTreeSet<Scope>,
    /// Hex SHA-256 of the token.
    pub token_hash: SecretHash,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it runs out by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the day.
    pub last_used_at: Option<Timestamp>,
    /// Whether it was made in a session that began with a second factor.
    #[serde(default)]
    pub second_factor: bool,
}

impl ProgramToken {
    /// The token that `created` has made at `at`.
    pub fn new(created: &ProgramTokenCreated, at: Timestamp) -> Self {
        Self {
            id: created.token,
            name: created.name.clone(),
            scopes: created.scopes.clone(),
            token_hash: created.token_hash.clone(),
            created_at: at,
            expires_at: created.expires_at,
            last_used_at: None,
            second_factor: created.second_factor,
        }
    }

    /// Whether it has not run out at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}
