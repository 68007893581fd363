//! Answers token checks by the text of the token.

use std::collections::BTreeSet;

use async_trait::async_trait;
use auth_client::{
    Identity, Rejection,
    messages::{CheckReply, CheckRequest, Verdict},
};
use bus::Responder;
use bytes::Bytes;
use events::{Role, SessionId, Timestamp, UserId};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The n-th person.
pub(crate) fn user(n: u128) -> UserId {
    UserId(Uuid::from_u128(0x0190_f5a2_0000_7000_8000_0000_0000_0000 + n))
}

/// A token that is good for `user`.
pub(crate) fn bearer(user: UserId) -> String {
    format!("user.{}.good", user.0.simple())
}

pub(crate) struct StubAuth;

#[async_trait]
impl Responder for StubAuth {
    async fn respond(&self, request: Bytes) -> Bytes {
        let token = CheckRequest::decode(&request).unwrap().token;
        let parts: Vec<&str> = token.split('.').collect();
        let verdict = match parts[..] {
            ["user", id, "good"] => Verdict::Accepted(Identity {
                user_id: UserId(Uuid::try_parse(id).unwrap()),
                session_id: SessionId(Uuid::nil()),
                email: "someone@example.com".into(),
                roles: BTreeSet::from([Role::User]),
                expires_at: Timestamp::MAX,
            }),
            ["expired", ..] => Verdict::Rejected(Rejection::Expired),
            ["ended", ..] => Verdict::Rejected(Rejection::SessionEnded),
            ["down", ..] => Verdict::Unavailable,
            _ => Verdict::Rejected(Rejection::Malformed),
        };
        let token_sha256 = Sha256::digest(token.as_bytes())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>();
        CheckReply {
            token_sha256,
            verdict,
        }
        .encode()
    }
}
