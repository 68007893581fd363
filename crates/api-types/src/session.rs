//! Sessions: login, refresh, and the list of a person's sessions.

use events::{SessionId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{User, stand_ins};

/// The credentials for a login.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The e-mail address of the account.
    pub email: String,
    /// Its password.
    #[schema(format = Password)]
    pub password: String,
}

/// A refresh token to exchange for the next one.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// The latest refresh token of the session. If it was used before, the session ends.
    pub refresh_token: String,
}

/// The tokens of a session, and its account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tokens {
    /// The access token, which is sent as `Authorization: Bearer <token>` with every other request.
    pub access_token: String,
    /// How the access token is sent.
    pub token_type: TokenType,
    /// Seconds until the access token expires.
    #[schema(minimum = 0)]
    pub expires_in: i64,
    /// The refresh token, which can be exchanged once at `/auth/refresh`.
    pub refresh_token: String,
    /// Seconds until the refresh token expires if it is not used: until the session has not been refreshed for too
    /// long, or ends however often it is refreshed.
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

/// The open sessions of the caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sessions {
    /// The sessions, the newest first.
    #[schema(max_items = 100)]
    pub items: Vec<Session>,
}

/// One login, kept alive by refresh tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// The id of the session.
    #[schema(value_type = stand_ins::Id)]
    pub id: SessionId,
    /// When the person logged in.
    #[schema(value_type = stand_ins::Instant)]
    pub started_at: Timestamp,
    /// When its tokens were last refreshed.
    #[schema(value_type = stand_ins::Instant)]
    pub last_refreshed_at: Timestamp,
    /// When it expires.
    #[schema(value_type = stand_ins::Instant)]
    pub expires_at: Timestamp,
    /// The client address of the login.
    #[schema(required = true)]
    pub ip: Option<String>,
    /// The user agent of the login.
    #[schema(required = true)]
    pub user_agent: Option<String>,
    /// Whether this request belongs to the session.
    pub current: bool,
}
