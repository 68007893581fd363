//! Answers token checks by the text of the token.

use std::collections::BTreeSet;

use async_trait::async_trait;
use auth_client::{Check, Identity, Rejection, VerifyError};
use events::{Role, SessionId, Timestamp, UserId};
use uuid::Uuid;

/// The person with the number `n`.
pub(crate) fn user(n: u128) -> UserId {
    UserId(Uuid::from_u128(0x0190_f5a2_0000_7000_8000_0000_0000_0000 + n))
}

/// A token of `user`, who can have tasks.
pub(crate) fn bearer(user: UserId) -> String {
    format!("user.{}.good", user.0.simple())
}

/// A token of `user`, who cannot have tasks.
pub(crate) fn bearer_without_tasks(user: UserId) -> String {
    format!("auditor.{}.good", user.0.simple())
}

pub(crate) struct StubAuth;

#[async_trait]
impl Check for StubAuth {
    async fn check(&self, token: &str) -> Result<Identity, VerifyError> {
        let parts: Vec<&str> = token.split('.').collect();
        match parts[..] {
            [role @ ("user" | "auditor"), id, "good"] => Ok(Identity {
                user_id: UserId(Uuid::try_parse(id).unwrap()),
                credential: auth_client::Credential::Session(SessionId(Uuid::nil())),
                email: "someone@example.com".into(),
                roles: BTreeSet::from([role.parse::<Role>().unwrap()]),
                expires_at: Timestamp::MAX,
            }),
            ["expired", ..] => Err(Rejection::Expired.into()),
            ["ended", ..] => Err(Rejection::SessionEnded.into()),
            ["down", ..] => Err(VerifyError::Unavailable("auth is away".to_owned())),
            _ => Err(Rejection::Malformed.into()),
        }
    }
}
