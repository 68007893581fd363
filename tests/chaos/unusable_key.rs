//! The key of a person is damaged or lost while other faults happen. The person is told of an outage and can erase
//! themselves, and afterwards anybody can register their address.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use sqlx::types::Uuid;
use tokio::time::{sleep, timeout};

use crate::{
    harness::{Harness, persist},
    support::{Answer, PASSWORD, Person},
};

/// What happens to the row of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyFault {
    Damaged,
    Lost,
}

impl KeyFault {
    const fn sql(self) -> &'static str {
        match self {
            Self::Damaged => {
                "UPDATE subject_keys.data_keys SET wrapped = decode(repeat('00', 60), 'hex') WHERE subject = $1"
            }
            Self::Lost => "DELETE FROM subject_keys.data_keys WHERE subject = $1",
        }
    }

    /// Injects the fault for a person of its own. Returns false if that person could not register.
    pub(crate) async fn inject(self, harness: &Harness) -> bool {
        /// Timeout of the registration.
        const JOIN: Duration = Duration::from_secs(30);
        /// Longer than keys are cached.
        const FORGOTTEN: Duration = Duration::from_secs(4);
        let base = harness.system.lock().await.base.clone();
        let join = async || {
            loop {
                let base = base.clone();
                let joining = tokio::spawn(async move { Person::join(&base, "unlucky").await });
                match joining.await {
                    Ok(person) => return person,
                    Err(_) => sleep(Duration::from_millis(200)).await,
                }
            }
        };
        let Ok(person) = timeout(JOIN, join()).await else {
            return false;
        };
        let me = answered("they ask who they are", &[200], async || {
            person.try_send(Method::GET, "/auth/me", None, &[]).await
        })
        .await;
        let id: Uuid = me.body["user"]["id"].as_str().unwrap().parse().unwrap();
        let pool = &harness.servers().pool;
        persist("a key is struck", async || {
            sqlx::query(self.sql()).bind(id).execute(pool).await
        })
        .await;
        sleep(FORGOTTEN).await;
        let credentials = json!({"email": person.email, "password": PASSWORD});
        let post = async |path: &str| {
            person
                .try_send(Method::POST, path, Some(credentials.clone()), &[])
                .await
        };
        let login = answered("a login tells of an outage", &[503], async || {
            post("/auth/login").await
        });
        assert!(matches!(login.await.code(), "unavailable" | "overloaded"));
        // A lost answer may have been the one of success.
        answered("they are erased", &[204, 401], async || {
            let body = json!({"password": PASSWORD});
            person.try_send(Method::DELETE, "/auth/me", Some(body), &[]).await
        })
        .await;
        answered("their address is free", &[201, 409], async || {
            post("/auth/register").await
        })
        .await;
        answered("they log in", &[200], async || post("/auth/login").await).await;
        true
    }
}

/// Repeats a request until an answer has one of `statuses`. Fails if an answer says that something is broken.
async fn answered(
    what: &str,
    statuses: &[u16],
    mut ask: impl AsyncFnMut() -> Result<Answer, reqwest::Error>,
) -> Answer {
    persist(what, async || {
        let answer = ask().await.map_err(|error| error.to_string())?;
        assert_ne!(answer.status, 500, "{what}: {answer:?}");
        match statuses.contains(&answer.status.as_u16()) {
            true => Ok(answer),
            false => Err(format!("{answer:?}")),
        }
    })
    .await
}
