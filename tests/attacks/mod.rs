//! Attacks from outside on every deployment. docs/security.md says which attack is tried where.

mod addresses;
mod forged_tokens;
mod guessing;
mod imported_accounts;
mod oracle;
mod passwords;
mod privileges;
mod recovery;
mod refresh_tokens;
mod second_factor;
mod sessions;
mod spent_attempts;

use std::{
    net::IpAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use database::{Database, Schema};
use event_store::EventStore;
use events::{Actor, Encoded, EventId, Metadata, StreamName, Timestamp, UserId};
use reqwest::Client;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Answer, Deployment, Person, Replica, Role, System, at_once, until};

const TIMEOUT: Duration = Duration::from_secs(30);

/// `person` with another access token.
fn with_token(person: &Person, token: impl Into<String>) -> Person {
    Person { token: token.into(), ..person.clone() }
}

/// A client without an account at another loopback address.
fn stranger(base: &str, address: [u8; 4]) -> Person {
    let http = Client::builder().local_address(IpAddr::from(address));
    Person {
        base: base.to_owned(),
        http: http.build().unwrap(),
        email: String::new(),
        token: String::new(),
        refresh_token: String::new(),
    }
}

async fn log_in(person: &Person, email: &str, password: &str) -> Answer {
    let body = json!({"email": email, "password": password});
    person.post("/auth/login", body).await
}

fn text(body: &Value, name: &str) -> String {
    body[name].as_str().unwrap().to_owned()
}

/// The claims of the access token of `person`.
fn claims(person: &Person) -> Value {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
    let part = person.token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64URL.decode(part).unwrap()).unwrap()
}

/// The process that runs auth.
fn auth_of(deployment: Deployment) -> Replica {
    match deployment {
        Deployment::Embedded => Role::Up.into(),
        Deployment::Servers | Deployment::KurrentDb => Role::Auth.into(),
    }
}

/// Kills auth and starts it again with the current settings.
async fn restart_auth(system: &mut System, deployment: Deployment) {
    system.kill(auth_of(deployment));
    system.launch(auth_of(deployment));
    system.ready().await;
}

/// The database in which failed attempts are counted.
async fn operations(system: &System) -> Database {
    let url = system.database_url("operations.db");
    Database::connect(&url, Schema::Operations, 2).await.unwrap()
}

/// Sets every counter of failed attempts to `failures` in a row whose delay is over, as after several days.
async fn let_failures_become(system: &System, failures: u64) {
    const SQL: &str = "UPDATE authentication_failures SET failures = $1, blocked_until = 0";
    let operations = operations(system).await;
    let changed = operations.execute(SQL, &[failures.into()]).await.unwrap();
    assert!(changed > 0, "nobody has failed");
}

/// Appends an event as auth would have, with a time in the past, to an existing stream.
async fn append_as_auth(
    system: &System,
    stream: &StreamName,
    subject: UserId,
    events: Vec<Encoded>,
    ago: Duration,
) {
    let store = event_store::open(&system.store_url(), 2).await.unwrap();
    let head = store.stream_head(stream).await.unwrap().unwrap();
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() - ago;
    let at = Timestamp::from_micros(at.as_micros().try_into().unwrap());
    let metadata = Metadata {
        subject,
        actor: Actor::User(subject),
        correlation_id: "appended by a test".into(),
        causation_id: Uuid::now_v7(),
        traceparent: None,
        idempotency_key: None,
    };
    let events =
        events.into_iter().map(|event| event.into_event(EventId(Uuid::now_v7()), metadata.clone(), at));
    let store: &dyn EventStore = &*store;
    store.append(stream, head.version, events.collect()).await.unwrap();
}

/// Sends a request with this token to auth, the query API and the command API.
async fn everywhere(person: &Person) -> [Answer; 3] {
    [
        person.get("/auth/me").await,
        person.get("/tasks").await,
        person.post("/tasks", json!({"title": "Get in"})).await,
    ]
}

/// Checks that every role accepts the token, so that every role has cached it. The request is repeated while the
/// projection is behind.
async fn is_served_everywhere(person: &Person) {
    until("the token is served", TIMEOUT, async || {
        let answers = everywhere(person).await;
        for answer in &answers {
            assert!(answer.status.is_success() || answer.status == 503, "{answer:?}");
        }
        answers.iter().all(|answer| answer.status.is_success())
    })
    .await;
}

/// Checks that `path` is found, once it is projected.
async fn is_shown(person: &Person, path: &str) {
    until(path, TIMEOUT, async || {
        let answer = person.get(path).await;
        assert!(answer.status == 200 || answer.status == 503, "{answer:?}");
        answer.status == 200
    })
    .await;
}

/// Returns whether every role refuses the token.
async fn is_refused_everywhere(person: &Person) -> bool {
    everywhere(person).await.iter().all(|answer| answer.status == 401)
}
