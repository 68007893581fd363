//! What somebody tries who means harm, from outside, on every footing. docs/security.md says which attack is tried where.

mod forged_tokens;
mod guessing;
mod privileges;
mod recovery;
mod second_factor;
mod sessions;

use std::time::Duration;

use serde_json::json;

use crate::support::{Answer, Person};

/// Within which what has ended is refused everywhere. A second is promised; a machine that is busy with other tests gets more,
/// and still far less than the half minute for which an answer is remembered.
const AT_ONCE: Duration = Duration::from_secs(5);

/// `person` with another token.
fn with_token(person: &Person, token: impl Into<String>) -> Person {
    Person {
        token: token.into(),
        ..person.clone()
    }
}

/// What auth, the query API and the command API say to whoever shows this token.
async fn everywhere(person: &Person) -> [Answer; 3] {
    [
        person.get("/auth/me").await,
        person.get("/tasks").await,
        person.post("/tasks", json!({"title": "Get in"})).await,
    ]
}

/// Insists that the token is good everywhere, so that every role remembers it.
async fn is_served_everywhere(person: &Person) {
    for answer in everywhere(person).await {
        assert!(answer.status.is_success(), "{answer:?}");
    }
}

/// Whether the token is refused everywhere.
async fn is_refused_everywhere(person: &Person) -> bool {
    everywhere(person).await.iter().all(|answer| answer.status == 401)
}
