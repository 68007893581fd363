//! What travels between the roles and auth: checks, their replies, and revocations. JSON on the wire.

use std::collections::BTreeSet;

use bytes::Bytes;
use events::{
    Actor, RecordedEvent, Role, Scope, SessionId, StreamKind, Timestamp, TokenId, Traceparent, UserId,
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
    /// A signing key was taken away: whatever it has signed is worthless.
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
                | "account.erased",
            ) => Some(Self::Account(account)),
            (StreamKind::Admins, _) => Some(Self::Account(event.metadata.subject)),
            _ => None,
        }
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
mod tests {
    use super::*;

    #[test]
    fn messages_keep_their_shape_on_the_wire() {
        let session: SessionId = "0190f5a2-0000-7000-8000-000000000001".parse().unwrap();
        let user: UserId = "0190f5a2-0000-7000-8000-000000000002".parse().unwrap();
        let identity = Identity {
            user_id: user,
            credential: Credential::Session(session),
            email: "ada@example.com".into(),
            roles: BTreeSet::from([Role::User, Role::Admin]),
            expires_at: Timestamp::from_micros(1_000_000),
        };
        let reply = CheckReply {
            token_sha256: "ab".into(),
            verdict: Verdict::Accepted(identity),
        };
        let json = r#"{"token_sha256":"ab","verdict":{"accepted":{"user_id":"0190f5a2-0000-7000-8000-000000000002","credential":{"session":"0190f5a2-0000-7000-8000-000000000001"},"email":"ada@example.com","roles":["user","admin"],"expires_at":"1970-01-01T00:00:01Z"}}}"#;
        assert_eq!(reply.encode(), json);
        assert_eq!(CheckReply::decode(json.as_bytes()).unwrap(), reply);

        for (verdict, json) in [
            (
                Verdict::Rejected(Rejection::SessionEnded),
                r#"{"rejected":"session_ended"}"#,
            ),
            (
                Verdict::Rejected(Rejection::Malformed),
                r#"{"rejected":"malformed"}"#,
            ),
            (Verdict::Rejected(Rejection::Expired), r#"{"rejected":"expired"}"#),
            (Verdict::Unavailable, r#""unavailable""#),
        ] {
            assert_eq!(serde_json::to_string(&verdict).unwrap(), json);
        }
        let revocation = Revocation::Session(session);
        assert_eq!(
            revocation.encode(),
            r#"{"session":"0190f5a2-0000-7000-8000-000000000001"}"#
        );
        assert_eq!(Revocation::decode(&revocation.encode()).unwrap(), revocation);
        assert_eq!(Revocation::Keys.encode(), r#""keys""#);
        assert_eq!(
            Revocation::Account(user).encode(),
            r#"{"account":"0190f5a2-0000-7000-8000-000000000002"}"#
        );
    }

    #[test]
    fn a_program_token_does_not_travel_itself() {
        let request = CheckRequest::ProgramToken {
            name: "ab".into(),
            token_sha256: "cd".into(),
        };
        let json = r#"{"program_token":{"name":"ab","token_sha256":"cd"}}"#;
        assert_eq!(request.encode(), json);
        assert_eq!(CheckRequest::Token("t".into()).encode(), r#"{"token":"t"}"#);
    }

    #[test]
    fn a_request_never_shows_its_token_in_a_log() {
        assert!(!format!("{:?}", CheckRequest::Token("secret".into())).contains("secret"));
    }

    #[test]
    fn a_program_token_is_good_for_its_scopes_and_a_login_for_everything() {
        let credential = Credential::ProgramToken {
            id: TokenId(uuid::Uuid::nil()),
            scopes: BTreeSet::from([Scope::TasksRead]),
        };
        let json =
            r#"{"program_token":{"id":"00000000-0000-0000-0000-000000000000","scopes":["tasks:read"]}}"#;
        assert_eq!(serde_json::to_string(&credential).unwrap(), json);
        assert!(credential.covers(Scope::TasksRead) && !credential.covers(Scope::TasksWrite));
        assert!(Credential::Session(SessionId(uuid::Uuid::nil())).covers(Scope::AuditRead));
    }

    #[test]
    fn an_admin_may_what_an_auditor_may() {
        let identity = |roles: &[Role]| Identity {
            user_id: UserId(uuid::Uuid::nil()),
            credential: Credential::Session(SessionId(uuid::Uuid::nil())),
            email: String::new(),
            roles: roles.iter().copied().collect(),
            expires_at: Timestamp::MAX,
        };
        assert!(identity(&[Role::Admin]).has_role(Role::Auditor));
        assert!(!identity(&[Role::Auditor]).has_role(Role::Admin));
        assert!(!identity(&[Role::User]).has_role(Role::Auditor));
    }
}
