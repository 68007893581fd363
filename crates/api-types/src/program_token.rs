//! Tokens that people make for their programs.

use std::collections::BTreeSet;

use events::{Scope, Timestamp, TokenId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::stand_ins;

/// A token to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateProgramToken {
    /// What the person calls it.
    #[schema(value_type = stand_ins::DisplayName)]
    pub name: String,
    /// What it is good for.
    #[schema(value_type = Vec<stand_ins::Scope>, min_items = 1)]
    pub scopes: Vec<Scope>,
    /// When it runs out; absent or `null`: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<stand_ins::Instant>)]
    pub expires_at: Option<Timestamp>,
}

/// A token as its owner sees it later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProgramToken {
    /// Which token.
    #[schema(value_type = stand_ins::Id)]
    pub id: TokenId,
    /// What the person calls it.
    pub name: String,
    /// What it is good for.
    #[schema(value_type = Vec<stand_ins::Scope>)]
    pub scopes: BTreeSet<Scope>,
    /// When it was made.
    #[schema(value_type = stand_ins::Instant)]
    pub created_at: Timestamp,
    /// When it runs out; `null`: never.
    #[schema(value_type = Option<stand_ins::Instant>, required = true)]
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the day.
    #[schema(value_type = Option<stand_ins::Instant>, required = true)]
    pub last_used_at: Option<Timestamp>,
}

/// A token that was just made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewProgramToken {
    /// Sent as `Authorization: Bearer <token>`. It is shown this once.
    pub token: String,
    /// What it is.
    #[serde(flatten)]
    pub about: ProgramToken,
}

/// The tokens of the caller's programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProgramTokens {
    /// The newest first, without those that have run out.
    #[schema(max_items = 50)]
    pub items: Vec<ProgramToken>,
}

impl From<events::ProgramToken> for ProgramToken {
    fn from(token: events::ProgramToken) -> Self {
        Self {
            id: token.id,
            name: token.name,
            scopes: token.scopes,
            created_at: token.created_at,
            expires_at: token.expires_at,
            last_used_at: token.last_used_at,
        }
    }
}
