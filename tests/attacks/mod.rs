//! What somebody tries who means harm, from outside, on every footing. docs/security.md says which attack is tried where.

mod forged_tokens;
mod guessing;
mod privileges;
mod recovery;
mod second_factor;
mod sessions;

use std::time::Duration;

use serde_json::json;

use crate::support::{Answer, Person, until};

/// Within which what has ended is refused everywhere. A second is promised; a machine that is busy with other tests gets more,
/// and still far less than the half minute for which an answer is remembered.
const AT_ONCE: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(30);

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

/// Insists that the token is good everywhere, so that every role remembers it. Where the projection is late on a busy machine
/// it is asked again.
async fn is_served_everywhere(person: &Person) {
    until("the token is served", PATIENCE, async || {
        let answers = everywhere(person).await;
        for answer in &answers {
            assert!(answer.status.is_success() || answer.status == 503, "{answer:?}");
        }
        answers.iter().all(|answer| answer.status.is_success())
    })
    .await;
}

/// Insists that `path` is answered, once the projection is there.
async fn is_shown(person: &Person, path: &str) {
    until(path, PATIENCE, async || {
        let answer = person.get(path).await;
        assert!(answer.status == 200 || answer.status == 503, "{answer:?}");
        answer.status == 200
    })
    .await;
}

/// Whether the token is refused everywhere.
async fn is_refused_everywhere(person: &Person) -> bool {
    everywhere(person).await.iter().all(|answer| answer.status == 401)
}
