//! Sessions: how they begin and go on, and what people see of theirs.

use events::{SessionId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{User, stand_ins};

/// Who logs in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The e-mail address of the account.
    pub email: String,
    /// Its password.
    #[schema(format = Password)]
    pub password: String,
}

/// A refresh token, to be exchanged for the next one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// The newest refresh token of the session. One that was used before ends the session.
    pub refresh_token: String,
}

/// The tokens of a session, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tokens {
    /// Sent as `Authorization: Bearer <token>` with every other request.
    pub access_token: String,
    /// How the access token is sent.
    pub token_type: TokenType,
    /// Seconds until the access token expires.
    #[schema(minimum = 0)]
    pub expires_in: i64,
    /// To be exchanged at `/auth/refresh`, once.
    pub refresh_token: String,
    /// Seconds until the session ends, however often it is refreshed.
    pub refresh_expires_in: i64,
    /// The account.
    pub user: User,
}

/// How access tokens are sent (RFC 6750).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum TokenType {
    /// As `Authorization: Bearer <token>`.
    Bearer,
}

/// Where the caller is logged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sessions {
    /// The open sessions, the newest first.
    #[schema(max_items = 100)]
    pub items: Vec<Session>,
}

/// One login, kept alive by refresh tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// Which session.
    #[schema(value_type = stand_ins::Id)]
    pub id: SessionId,
    /// When the person logged in.
    #[schema(value_type = stand_ins::Instant)]
    pub started_at: Timestamp,
    /// When its tokens were exchanged last.
    #[schema(value_type = stand_ins::Instant)]
    pub last_refreshed_at: Timestamp,
    /// When it ends by itself.
    #[schema(value_type = stand_ins::Instant)]
    pub expires_at: Timestamp,
    /// The address that the person logged in from.
    #[schema(required = true)]
    pub ip: Option<String>,
    /// What the client of the login called itself.
    #[schema(required = true)]
    pub user_agent: Option<String>,
    /// Whether it is the session of this request.
    pub current: bool,
}
