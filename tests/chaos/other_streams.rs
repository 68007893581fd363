//! A record of an unknown type at the end of a stream that is not of a task. It is parked, and whoever needs the stream
//! is told that the service fails, while everybody else goes on. Nobody needs the stream of the admins.

use events::{StreamName, UserId};
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use crate::{
    harness::Harness,
    poison::{append, unknown},
    somebody::Somebody,
    support::PASSWORD,
};

/// The streams besides those of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OtherStream {
    Account,
    Session,
    Email,
    Operation,
    Admins,
}

impl OtherStream {
    pub(crate) const ALL: [Self; 5] =
        [Self::Account, Self::Session, Self::Email, Self::Operation, Self::Admins];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Account => "poison: account stream",
            Self::Session => "poison: session stream",
            Self::Email => "poison: email stream",
            Self::Operation => "poison: operation stream",
            Self::Admins => "poison: admins stream",
        }
    }

    /// Makes the stream of a person of its own unreadable, or that of an operation or of the admins.
    pub(crate) async fn poison(self, harness: &Harness) {
        let prefix = match self {
            Self::Account => "account",
            Self::Session => "session",
            Self::Email => "email",
            Self::Operation => {
                let stream = StreamName::raw(format!("operation-{}", Uuid::now_v7()));
                return add_unknown(harness, stream, UserId::NOBODY).await;
            }
            Self::Admins => {
                add_unknown(harness, StreamName::admins(), UserId::NOBODY).await;
                return others_log_in(harness).await;
            }
        };
        let somebody = Somebody::join(harness).await;
        let id = somebody.id().await;
        let pool = &harness.servers().pool;
        let stream: String = harness.recovery.persist("the stream is found", async || {
            sqlx::query_scalar(
                "SELECT stream FROM event_store.events
                 WHERE stream LIKE $1 || '-%' AND metadata::json->>'subject' = $2 ORDER BY position DESC LIMIT 1",
            )
            .bind(prefix)
            .bind(id.to_string())
            .fetch_one(pool)
            .await
        })
        .await;
        add_unknown(harness, StreamName::raw(stream), UserId(id)).await;
        let person = &somebody.person;
        let (path, body) = match self {
            Self::Session => ("/auth/refresh", json!({"refresh_token": person.refresh_token})),
            _ => ("/auth/login", json!({"email": person.email, "password": PASSWORD})),
        };
        let refused = async || {
            let asking = somebody.try_send(Method::POST, path, Some(body.clone()));
            let answer = asking.await?;
            match (answer.status.as_u16(), answer.code()) {
                (500, "internal") => Ok(()),
                _ => Err(format!("{answer:?}")),
            }
        };
        let what = "a stream that cannot be read is not taken for an empty one";
        harness.recovery.persist(what, refused).await;
    }
}

/// Somebody registers and logs in, twice.
async fn others_log_in(harness: &Harness) {
    let somebody = Somebody::join(harness).await;
    let credentials = json!({"email": somebody.person.email, "password": PASSWORD});
    let what = "others do not need the admins";
    somebody.answered(what, &[200], (Method::POST, "/auth/login"), Some(credentials)).await;
}

async fn add_unknown(harness: &Harness, stream: StreamName, subject: UserId) {
    let pool = &harness.servers().pool;
    let version: i64 = harness
        .recovery
        .persist("the end of a stream is found", async || {
            sqlx::query_scalar("SELECT COALESCE(max(version), 0) FROM event_store.events WHERE stream = $1")
                .bind(stream.as_str())
                .fetch_one(pool)
                .await
        })
        .await;
    let mut poisoned = harness.poisoned.lock().await;
    poisoned.records.insert(stream.clone(), version.unsigned_abs());
    drop(poisoned);
    append(harness, &stream, version, &[unknown(subject)]).await;
}
