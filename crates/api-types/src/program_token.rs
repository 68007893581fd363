//! Tokens for programs.

use std::collections::BTreeSet;

use events::{Scope, Timestamp, TokenId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::stand_ins;

/// A new program token.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateProgramToken {
    /// The name that the person gives it.
    #[schema(value_type = stand_ins::DisplayName)]
    pub name: String,
    /// The scopes of the token.
    #[schema(value_type = Vec<stand_ins::Scope>, min_items = 1)]
    pub scopes: Vec<Scope>,
    /// When it expires; absent or `null`: never.
    #[schema(value_type = Option<stand_ins::Instant>)]
    pub expires_at: Option<Timestamp>,
}

/// A program token as its owner sees it later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProgramToken {
    /// The id of the token.
    #[schema(value_type = stand_ins::Id)]
    pub id: TokenId,
    /// The name that the person gave it.
    pub name: String,
    /// The scopes of the token.
    #[schema(value_type = Vec<stand_ins::Scope>)]
    pub scopes: BTreeSet<Scope>,
    /// When it was made.
    #[schema(value_type = stand_ins::Instant)]
    pub created_at: Timestamp,
    /// When it expires; `null`: never.
    #[schema(value_type = Option<stand_ins::Instant>, required = true)]
    pub expires_at: Option<Timestamp>,
    /// The day on which it was last used.
    #[schema(value_type = Option<stand_ins::Instant>, required = true)]
    pub last_used_at: Option<Timestamp>,
}

/// A program token that was just created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewProgramToken {
    /// The token, which is sent as `Authorization: Bearer <token>`. It is shown only once.
    pub token: String,
    /// The data of the token.
    #[serde(flatten)]
    pub about: ProgramToken,
}

/// The program tokens of the caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProgramTokens {
    /// The tokens, the newest first, without expired ones.
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
