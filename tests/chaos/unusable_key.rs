//! The key of a person is damaged or lost while other faults happen. The person is told of an outage and can erase
//! themselves, and afterwards anybody can register their address.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::time::sleep;

use crate::{harness::Harness, somebody::Somebody, support::PASSWORD};

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

    /// Injects the fault for a person of its own.
    pub(crate) async fn inject(self, harness: &Harness) {
        /// Longer than keys are cached.
        const FORGOTTEN: Duration = Duration::from_secs(4);
        let somebody = Somebody::join(harness).await;
        let id = somebody.id().await;
        let pool = &harness.servers().pool;
        harness
            .recovery
            .persist("a key is struck", async || sqlx::query(self.sql()).bind(id).execute(pool).await)
            .await;
        sleep(FORGOTTEN).await;
        let credentials = json!({"email": somebody.person.email, "password": PASSWORD});
        let post = async |what, statuses: &[u16], path| {
            let body = Some(credentials.clone());
            somebody.answered(what, statuses, (Method::POST, path), body).await
        };
        let login = post("a login tells of an outage", &[503], "/auth/login").await;
        assert!(matches!(login.code(), "unavailable" | "overloaded"));
        // A lost answer may have been the one of success.
        let password = Some(json!({"password": PASSWORD}));
        let erase = (Method::DELETE, "/auth/me");
        somebody.answered("they are erased", &[204, 401], erase, password).await;
        post("their address is free", &[201, 409], "/auth/register").await;
        post("they log in", &[200], "/auth/login").await;
    }
}
