//! Clients hang up at any moment. Every command that was received takes effect all the same.

mod credentials;

use std::{cell::RefCell, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Deployment, PASSWORD, Person, System, until};

/// Number of times that every command is abandoned, each time after another delay.
const ROUNDS: usize = 6;
/// Maximum time from sending a request to hanging up, which is the duration of the slowest commands.
const MAX_MOMENT: Duration = Duration::from_millis(120);
const TIMEOUT: Duration = Duration::from_secs(30);
const NEW_PASSWORD: &str = "another long passphrase";

#[tokio::test(flavor = "multi_thread")]
async fn embedded_commands_run_to_their_end() {
    commands_run_to_their_end(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_run_to_their_end_on_postgres_and_rabbitmq() {
    commands_run_to_their_end(Deployment::Servers).await;
}

/// `HANG_UP_SEED` repeats the delays of an earlier run.
async fn commands_run_to_their_end(deployment: Deployment) {
    let given = std::env::var("HANG_UP_SEED").ok();
    let seed = given.map_or_else(rand::random, |seed| seed.parse().unwrap());
    eprintln!("HANG_UP_SEED={seed}");
    let moments = Moments(RefCell::new(StdRng::seed_from_u64(seed)));
    let system = System::start(deployment).await;
    let root = system.join_admin().await;
    for round in 0..ROUNDS {
        let ada = Person::join(&system.base, &format!("ada{round}")).await;
        tasks(&ada, &moments).await;
        account(&ada, &moments).await;
        administration(&root, &moments).await;
        let eve = Person::join(&system.base, &format!("eve{round}")).await;
        credentials::credentials(&eve, &root, &moments).await;
    }
    half_closed(&system).await;
    system.stop().await;
}

/// Random delays, most of which are short.
struct Moments(RefCell<StdRng>);

impl Moments {
    fn next(&self) -> Duration {
        let mut random = self.0.borrow_mut();
        MAX_MOMENT.mul_f64(random.random::<f64>() * random.random::<f64>())
    }

    /// Returns whether the connection is reset (RFC 9293, section 3.6) instead of closed.
    fn is_rude(&self) -> bool {
        self.0.borrow_mut().random_bool(0.7)
    }
}

/// Every command on tasks, in turn.
async fn tasks(ada: &Person, moments: &Moments) {
    let give_up = async |method: Method, path: &str, body: Option<Value>| {
        hang_up(ada, moments, method, path, body).await;
    };
    give_up(Method::POST, "/tasks", Some(json!({"title": "first"}))).await;
    let batch = json!({"commands": [{"op": "create", "title": "second"}]});
    give_up(Method::POST, "/tasks/batch", Some(batch)).await;
    until("both tasks are there", TIMEOUT, async || {
        ada.get("/tasks").await.body["items"].as_array().map(Vec::len) == Some(2)
    })
    .await;
    let items = ada.get("/tasks").await.expect(200).body["items"].clone();
    let path = format!("/tasks/{}", items[0]["id"].as_str().unwrap());
    give_up(Method::PATCH, &path, Some(json!({"title": "renamed"}))).await;
    becomes(ada, &path, "/title", json!("renamed")).await;
    for (verb, status) in
        [("start", "in_progress"), ("complete", "done"), ("reopen", "open"), ("cancel", "cancelled")]
    {
        give_up(Method::POST, &format!("{path}/{verb}"), None).await;
        becomes(ada, &path, "/status", json!(status)).await;
    }
    give_up(Method::DELETE, &path, None).await;
    until("it is in the trash", TIMEOUT, async || ada.get(&path).await.status == 404).await;
    give_up(Method::POST, &format!("{path}/restore"), None).await;
    becomes(ada, &path, "/status", json!("cancelled")).await;
    let first = items[0]["title"].clone();
    let revert = json!({"to_version": 1});
    give_up(Method::POST, &format!("{path}/revert"), Some(revert)).await;
    becomes(ada, &path, "/title", first.clone()).await;
    let mistake = ada.patch(&path, json!({"title": "mistake"})).await.expect(200);
    let undo = json!({"request_id": mistake.header("x-request-id")});
    give_up(Method::POST, "/tasks/undo", Some(undo)).await;
    becomes(ada, &path, "/title", first).await;
}

/// Every command on the caller's account and sessions. The last ones end them.
async fn account(ada: &Person, moments: &Moments) {
    let mut new = ada.clone();
    new.email = format!("new-{}", ada.email);
    let body = json!({"email": new.email, "password": PASSWORD});
    hang_up(&new, moments, Method::POST, "/auth/register", Some(body.clone())).await;
    until("the account is there", TIMEOUT, async || {
        new.post("/auth/login", body.clone()).await.status == 200
    })
    .await;

    let body = json!({"display_name": "Ada L."});
    hang_up(ada, moments, Method::PATCH, "/auth/me", Some(body)).await;
    becomes(ada, "/auth/me", "/user/display_name", json!("Ada L.")).await;

    let mut other = ada.clone();
    other.log_in().await;
    hang_up(&other, moments, Method::POST, "/auth/logout", None).await;
    ends(&other).await;

    let before = sessions(ada).await.len();
    let body = json!({"email": ada.email, "password": PASSWORD});
    hang_up(ada, moments, Method::POST, "/auth/login", Some(body)).await;
    until("a session has begun", TIMEOUT, async || sessions(ada).await.len() == before + 1).await;

    other.log_in().await;
    let id = session(&other).await["id"].as_str().unwrap().to_owned();
    let path = format!("/auth/sessions/{id}");
    hang_up(ada, moments, Method::DELETE, &path, None).await;
    ends(&other).await;

    other.log_in().await;
    let begun = session(&other).await;
    let body = json!({"refresh_token": other.refresh_token});
    hang_up(&other, moments, Method::POST, "/auth/refresh", Some(body)).await;
    until("the session is refreshed", TIMEOUT, async || {
        let now = sessions(ada).await.into_iter().find(|now| now["id"] == begun["id"]);
        now.unwrap()["last_refreshed_at"] != begun["last_refreshed_at"]
    })
    .await;

    other.log_in().await;
    let body = json!({"current_password": PASSWORD, "new_password": NEW_PASSWORD});
    hang_up(ada, moments, Method::POST, "/auth/me/password", Some(body)).await;
    ends(&other).await;
    let old = json!({"email": ada.email, "password": PASSWORD});
    assert_eq!(ada.post("/auth/login", old).await.status, 401, "the old password");
    let body = json!({"email": ada.email, "password": NEW_PASSWORD});
    let login = other.post("/auth/login", body).await.expect(200);
    login.body["access_token"].as_str().unwrap().clone_into(&mut other.token);

    hang_up(ada, moments, Method::POST, "/auth/logout-all", None).await;
    for session in [ada, &other] {
        ends(session).await;
    }
}

/// Every command of an admin on somebody else's account.
async fn administration(root: &Person, moments: &Moments) {
    let bob = Person::join(&root.base, "bob").await;
    let id = bob.get("/auth/me").await.expect(200).body["user"]["id"].as_str().unwrap().to_owned();
    let path = format!("/auth/users/{id}");
    let body = json!({"roles": ["user", "auditor"]});
    hang_up(root, moments, Method::PUT, &format!("{path}/roles"), Some(body)).await;
    until("the roles are changed", TIMEOUT, async || {
        let roles = bob.get("/auth/me").await.body["user"]["roles"].clone();
        roles.as_array().is_some_and(|roles| roles.contains(&json!("auditor")))
    })
    .await;
    hang_up(root, moments, Method::POST, &format!("{path}/disable"), None).await;
    ends(&bob).await;
    hang_up(root, moments, Method::POST, &format!("{path}/enable"), None).await;
    let body = json!({"email": bob.email, "password": PASSWORD});
    until("the account is enabled", TIMEOUT, async || {
        bob.post("/auth/login", body.clone()).await.status == 200
    })
    .await;
}

/// Every session of the account.
async fn sessions(person: &Person) -> Vec<Value> {
    let sessions = person.get("/auth/sessions").await.expect(200);
    sessions.body["items"].as_array().unwrap().clone()
}

/// The session of `person`, once it is listed.
async fn session(person: &Person) -> Value {
    let mut current = None;
    until("the session is listed", TIMEOUT, async || {
        current = sessions(person).await.into_iter().find(|session| session["current"] == true);
        current.is_some()
    })
    .await;
    current.unwrap()
}

async fn ends(person: &Person) {
    until("the session has ended", TIMEOUT, async || person.get("/auth/me").await.status == 401).await;
}

async fn becomes(ada: &Person, path: &str, pointer: &str, value: Value) {
    until(&format!("{pointer} is {value}"), TIMEOUT, async || {
        ada.get(path).await.body.pointer(pointer) == Some(&value)
    })
    .await;
}

/// Sends a request and hangs up.
async fn hang_up(person: &Person, moments: &Moments, method: Method, path: &str, body: Option<Value>) {
    let stream = person.send_unread(&method, path, body).await;
    tokio::time::sleep(moments.next()).await;
    // A client that only closes its side may still read the answer, while one that resets the connection cannot.
    if moments.is_rude() {
        stream.set_zero_linger().unwrap();
    }
}

async fn half_closed(system: &System) {
    let ada = Person::join(&system.base, "half-closed").await;
    for (method, path, body, status) in [
        // It comes before any command, so that it does not have to wait for the projection.
        (Method::GET, "/tasks", None, "200"),
        (Method::POST, "/tasks", Some(json!({"title": "a"})), "201"),
        (Method::PATCH, "/auth/me", Some(json!({"display_name": "b"})), "200"),
        (Method::POST, "/auth/logout", None, "204"),
    ] {
        let mut stream = ada.send_unread(&method, path, body).await;
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{method} {path}: {answer}");
    }
}
