//! Newtyped identifiers and the names of streams.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                parse(text).map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    };
}

/// The text is not an id: a UUID in its hyphenated form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a UUID in its hyphenated form")]
pub struct ParseIdError;

/// Ids have one form wherever they are read, the hyphenated one, in capitals or not.
fn parse(text: &str) -> Result<Uuid, ParseIdError> {
    const HYPHENATED: usize = 36;
    match Uuid::try_parse(text) {
        Ok(id) if text.len() == HYPHENATED => Ok(id),
        _ => Err(ParseIdError),
    }
}

id!(
    /// A task. UUIDv7 (RFC 9562, section 5.7).
    TaskId
);
id!(
    /// A person with an account. UUIDv7. Also the subject that an event is about.
    UserId
);
id!(
    /// One login of one person, kept alive by refresh tokens. UUIDv7.
    SessionId
);
id!(
    /// A token that a person made for a program of theirs. UUIDv7.
    TokenId
);
id!(
    /// One command of an operator. UUIDv7.
    OperationId
);
id!(
    /// One event in the log. UUIDv7.
    EventId
);

impl UserId {
    /// The subject of events that are about no person, such as those about the whole installation.
    pub const NOBODY: Self = Self(Uuid::nil());
}

/// The one stream about all admins.
const ADMINS: &str = "admins";

/// The name of a stream: `task-<uuid>`, `account-<uuid>`, `session-<uuid>`, `email-<hex HMAC>`, `admins` or
/// `operation-<uuid>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StreamName(String);

/// What a stream is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamKind {
    /// `task-<uuid>`
    Task(TaskId),
    /// `account-<uuid>`
    Account(UserId),
    /// `session-<uuid>`
    Session(SessionId),
    /// `email-<hex HMAC of the normalized address>`
    Email(String),
    /// `admins`
    Admins,
    /// `operation-<uuid>`
    Operation(OperationId),
}

/// The text does not name a stream of one of the known kinds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not the name of a stream: expected task-<uuid>, account-<uuid>, session-<uuid>, email-<hmac>, admins or operation-<uuid>"
)]
pub struct ParseStreamError(pub String);

impl StreamName {
    /// The stream of one task.
    pub fn task(id: TaskId) -> Self {
        Self(format!("task-{id}"))
    }

    /// The stream of one account.
    pub fn account(id: UserId) -> Self {
        Self(format!("account-{id}"))
    }

    /// The stream of one session.
    pub fn session(id: SessionId) -> Self {
        Self(format!("session-{id}"))
    }

    /// The stream that guards one address; `hmac` is the hex HMAC-SHA-256 of the normalized address.
    pub fn email(hmac: &str) -> Self {
        Self(format!("email-{hmac}"))
    }

    /// The stream about who the admins are.
    pub fn admins() -> Self {
        Self(ADMINS.to_owned())
    }

    /// The stream of one command of an operator.
    pub fn operation(id: OperationId) -> Self {
        Self(format!("operation-{id}"))
    }

    /// Accepts any text as a name. For stores that move records without interpreting them.
    pub fn raw(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the stream is about.
    ///
    /// # Errors
    /// When the name is of none of the known kinds.
    pub fn kind(&self) -> Result<StreamKind, ParseStreamError> {
        let unknown = || ParseStreamError(self.0.clone());
        if self.0 == ADMINS {
            return Ok(StreamKind::Admins);
        }
        let (kind, key) = self.0.split_once('-').ok_or_else(unknown)?;
        Ok(match kind {
            "task" => StreamKind::Task(key.parse().map_err(|_| unknown())?),
            "account" => StreamKind::Account(key.parse().map_err(|_| unknown())?),
            "session" => StreamKind::Session(key.parse().map_err(|_| unknown())?),
            "operation" => StreamKind::Operation(key.parse().map_err(|_| unknown())?),
            "email" => StreamKind::Email(key.to_owned()),
            _ => return Err(unknown()),
        })
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
