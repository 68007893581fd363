//! What travels between the roles and auth: checks, their replies, and revocations. JSON on the wire.

use std::collections::BTreeSet;

use bytes::Bytes;
use events::{
    AccountEvent, Actor, Event, RecordedEvent, Role, Scope, SessionId, StreamKind, Timestamp, TokenId,
    Traceparent, UserId,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The queue that auth answers token checks from.
pub const VERIFY_QUEUE: &str = "taskledger.auth.verify";

/// The queue from which auth hands out its public keys as a [`api_types::Jwks`]. The request is empty.
pub const KEYS_QUEUE: &str = "taskledger.auth.keys";

/// The topic on which auth broadcasts a [`Revocation`] when a session ends or an account changes.
pub const REVOCATIONS: &str = "taskledger.auth.revoked";

/// Who is calling, as auth knows them at the moment of the check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The person who has the token.
    pub user_id: UserId,
    /// By what they are known.
    pub credential: Credential,
    /// The e-mail address of the person.
    pub email: String,
    /// What they may do.
    pub roles: BTreeSet<Role>,
    /// When the token runs out.
    pub expires_at: Timestamp,
}

/// By what a caller is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credential {
    /// A login: the person may do everything that the account may.
    Session(SessionId),
    /// A token that the person made for a program, which may what its scopes say.
    ProgramToken {
        /// The id of the token.
        id: TokenId,
        /// What it is good for.
        scopes: BTreeSet<Scope>,
    },
}

impl Credential {
    /// The login, if it is one.
    #[must_use]
    pub const fn session(&self) -> Option<SessionId> {
        match self {
            Self::Session(id) => Some(*id),
            Self::ProgramToken { .. } => None,
        }
    }

    /// Whether it is good for what `scope` names.
    #[must_use]
    pub fn covers(&self, scope: Scope) -> bool {
        match self {
            Self::Session(_) => true,
            Self::ProgramToken { scopes, .. } => scopes.contains(&scope),
        }
    }
}

impl Identity {
    /// Who acts, for the events that follow from it.
    #[must_use]
    pub const fn actor(&self) -> Actor {
        match self.credential {
            Credential::Session(_) => Actor::User(self.user_id),
            Credential::ProgramToken { id, .. } => Actor::Program {
                user: self.user_id,
                token: id,
            },
        }
    }

    /// Whether they have `role`. An admin may do everything that an auditor may.
    #[must_use]
    pub fn has_role(&self, role: Role) -> bool {
        self.roles.contains(&role) || (role == Role::Auditor && self.roles.contains(&Role::Admin))
    }
}

/// Why a token is no good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Rejection {
    /// Not a token of this system.
    #[error("The access token is malformed, or was not issued here.")]
    Malformed,
    /// It ran out.
    #[error("The access token has expired. Refresh it, or log in again.")]
    Expired,
    /// Its session or account is no longer live.
    #[error("The session of this access token has ended. Log in again.")]
    SessionEnded,
}

/// A question: is this token good?
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckRequest {
    /// The access token as the client sent it.
    Token(String),
    /// A program token, which lives for long and so does not travel itself.
    ProgramToken {
        /// The part of it that says which it is.
        name: String,
        /// Hex SHA-256 of the whole.
        token_sha256: String,
    },
}

/// A message on behalf of a request, whose trace it belongs to.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traced<M> {
    /// What is said.
    #[serde(flatten)]
    pub message: M,
    /// W3C `traceparent` of the request. Those who do not know of it pass over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<Traceparent>,
}

/// The answer to one [`CheckRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReply {
    /// Hex SHA-256 of the token that was judged. Whoever asked compares it, so that a reply that went astray
    /// can never give one caller the identity of another.
    pub token_sha256: String,
    /// What auth found.
    pub verdict: Verdict,
}

/// What auth found about a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is good, and this is whose.
    Accepted(Identity),
    /// It is not.
    Rejected(Rejection),
    /// Auth cannot tell now, for example because the event store is down.
    Unavailable,
}

/// News that makes cached answers worthless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Revocation {
    /// This session ended.
    Session(SessionId),
    /// Every session of this account ended, or what is known about the account changed.
    Account(UserId),
    /// A signing key was taken away, or other roles ask for a second factor: whatever is remembered of any token is worthless.
    Keys,
}

impl Revocation {
    /// What an event of the log makes worthless, if anything. So whoever reads the log can tell everyone in place of an
    /// auth that died before it could.
    #[must_use]
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

/// Whether the session that was opened has closed others, as one too many does. What cannot be read may have.
fn closes_sessions(event: &RecordedEvent) -> bool {
    match Event::try_from(event) {
        Ok(Event::Account(AccountEvent::SessionOpened(opened))) => !opened.closed.is_empty(),
        Ok(_) => false,
        Err(_) => true,
    }
}

/// Messages that are written as JSON.
macro_rules! json_message {
    ($($message:ty),+) => {
        $(
            impl $message {
                /// Writes the message.
                #[must_use]
                pub fn encode(&self) -> Bytes {
                    encode(self)
                }

                /// Reads a message.
                ///
                /// # Errors
                /// When the bytes are something else.
                pub fn decode(bytes: &[u8]) -> Result<Self, serde_json::Error> {
                    decode(bytes)
                }
            }
        )+
    };
}

json_message!(CheckRequest, Traced<CheckRequest>, CheckReply, Revocation);

fn encode<T: Serialize>(message: &T) -> Bytes {
    // Plain structs of strings and numbers: writing them as JSON cannot fail.
    serde_json::to_vec(message).unwrap_or_default().into()
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(bytes)
}

impl std::fmt::Debug for CheckRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CheckRequest(…)")
    }
}

#[cfg(test)]
mod tests;
