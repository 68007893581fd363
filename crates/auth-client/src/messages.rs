//! The messages between the roles and auth: token checks, replies, and revocations. They are JSON.

use std::collections::BTreeSet;

use bytes::Bytes;
use events::{
    AccountEvent, Actor, Event, RecordedEvent, Role, Scope, SessionId, StreamKind, Timestamp, TokenId,
    Traceparent, UserId,
};
use serde::{Deserialize, Serialize};

/// The queue that auth answers token checks from.
pub const VERIFY_QUEUE: &str = "taskledger.auth.verify";

/// The queue from which auth hands out its public keys as a [`api_types::Jwks`]. The request is empty.
pub const KEYS_QUEUE: &str = "taskledger.auth.keys";

/// The topic on which auth broadcasts a [`Revocation`] when a session ends or an account changes.
pub const REVOCATIONS: &str = "taskledger.auth.revoked";

/// The authenticated caller, as auth knew them at the time of the check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The person who has the token.
    pub user_id: UserId,
    /// What the caller authenticated with.
    pub credential: Credential,
    /// The e-mail address of the person.
    pub email: String,
    /// The roles.
    pub roles: BTreeSet<Role>,
    /// When the token expires.
    pub expires_at: Timestamp,
}

/// What a caller authenticated with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credential {
    /// A login, which gives access to everything that the account has access to.
    Session(SessionId),
    /// A program token, which gives access according to its scopes.
    ProgramToken {
        /// The id of the token.
        id: TokenId,
        /// Its scopes.
        scopes: BTreeSet<Scope>,
    },
}

impl Credential {
    /// The session of a login; `None` for a program token.
    pub const fn session(&self) -> Option<SessionId> {
        match self {
            Self::Session(id) => Some(*id),
            Self::ProgramToken { .. } => None,
        }
    }

    /// Whether the credential has `scope`.
    pub fn covers(&self, scope: Scope) -> bool {
        match self {
            Self::Session(_) => true,
            Self::ProgramToken { scopes, .. } => scopes.contains(&scope),
        }
    }
}

impl Identity {
    /// The actor of the events that the caller causes.
    pub const fn actor(&self) -> Actor {
        match self.credential {
            Credential::Session(_) => Actor::User(self.user_id),
            Credential::ProgramToken { id, .. } => Actor::Program { user: self.user_id, token: id },
        }
    }

    /// Whether they have `role`. An admin may do everything that an auditor may.
    pub fn has_role(&self, role: Role) -> bool {
        self.roles.contains(&role) || (role == Role::Auditor && self.roles.contains(&Role::Admin))
    }
}

/// Why a token is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Rejection {
    /// Not a token of this system.
    #[error("the token is malformed, or was not issued here")]
    Malformed,
    /// It has expired.
    #[error("the token has expired")]
    Expired,
    /// Its session has ended, its program token was revoked, or its account is disabled or erased.
    #[error("the session of the token has ended")]
    SessionEnded,
}

/// A request to check a token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckRequest {
    /// The access token as the client sent it.
    Token(String),
    /// A program token. It lives for a long time, so only its hash is sent.
    ProgramToken {
        /// The public part, which names the token.
        name: String,
        /// Hex SHA-256 of the whole token.
        token_sha256: String,
    },
}

/// A message with the trace context of the request that it belongs to.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traced<M> {
    /// The message.
    #[serde(flatten)]
    pub message: M,
    /// W3C `traceparent` of the request. Receivers that do not know it ignore it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<Traceparent>,
}

/// The answer to one [`CheckRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReply {
    /// Hex SHA-256 of the checked token. The requester compares it, so that a misdirected reply cannot give one
    /// caller the identity of another.
    pub token_sha256: String,
    /// The result of the check.
    pub verdict: Verdict,
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The token is valid, and belongs to this identity.
    Accepted(Identity),
    /// The token is invalid.
    Rejected(Rejection),
    /// The token cannot be checked now, for example because the event store is down.
    Unavailable,
    /// The token cannot be checked, because what the log has of its session or account cannot be read. To callers of
    /// earlier releases this is an answer that they cannot read, and so the same as [`Self::Unavailable`].
    Failed,
}

/// A revocation, which invalidates cached answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Revocation {
    /// This session ended.
    Session(SessionId),
    /// Every session of this account ended, or what is known about the account changed.
    Account(UserId),
    /// A signing key was removed, or other roles need a second factor: all cached answers are invalid.
    Keys,
}

impl Revocation {
    /// The revocation that follows from an event of the log, if any. With it, any reader of the log can broadcast the
    /// revocation if auth ended before it did.
    pub fn caused_by(event: &RecordedEvent) -> Option<Self> {
        match (event.stream.kind().ok()?, event.kind.as_str()) {
            (StreamKind::Session(session), "session.ended") => Some(Self::Session(session)),
            (
                StreamKind::Account(account),
                "account.password_changed"
                | "account.password_reset"
                | "account.roles_changed"
                | "account.disabled"
                | "account.enabled"
                | "account.sessions_ended"
                | "account.token_revoked"
                | "account.second_factor_removed"
                | "account.erased",
            ) => Some(Self::Account(account)),
            (StreamKind::Account(account), "account.session_opened") => {
                closes_sessions(event).then_some(Self::Account(account))
            }
            (StreamKind::Admins, "admins.second_factor_roles_changed") => Some(Self::Keys),
            (StreamKind::Admins, _) => Some(Self::Account(event.metadata.subject)),
            _ => None,
        }
    }
}

/// Whether opening this session closed others, which happens when there were too many. An event that cannot be read
/// counts as closing.
fn closes_sessions(event: &RecordedEvent) -> bool {
    match Event::try_from(event) {
        Ok(Event::Account(AccountEvent::SessionOpened(opened))) => !opened.closed.is_empty(),
        Ok(_) => false,
        Err(_) => true,
    }
}

/// Implements `encode` and `decode` for messages that are JSON.
macro_rules! json_message {
    ($($message:ty),+) => {
        $(
            impl $message {
                /// Writes the message.
                pub fn encode(&self) -> Bytes {
                    // Plain structs of strings and numbers: writing them as JSON cannot fail.
                    serde_json::to_vec(self).unwrap_or_default().into()
                }

                /// Reads a message.
                ///
                /// # Errors
                /// When the bytes are something else.
                pub fn decode(bytes: &[u8]) -> Result<Self, serde_json::Error> {
                    serde_json::from_slice(bytes)
                }
            }
        )+
    };
}

json_message!(CheckRequest, Traced<CheckRequest>, CheckReply, Revocation);

impl std::fmt::Debug for CheckRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CheckRequest(…)")
    }
}

#[cfg(test)]
mod tests;
