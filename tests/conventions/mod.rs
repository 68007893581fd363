//! Every case of the conventions in `docs/api.md`, through the gateway.

mod batch;
mod bodies;
mod consistency;
mod idempotency;
mod paths;
mod preconditions;
mod tokens;
mod validation;

use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::json;

use crate::support::{Answer, Deployment, Person, Role, System, until};

#[tokio::test]
async fn embedded_conventions() {
    conventions(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conventions_on_postgres_and_rabbitmq() {
    conventions(Deployment::Servers).await;
}

async fn conventions(deployment: Deployment) {
    let system = System::start(deployment).await;
    let ada = Person::join(&system.base, "ada").await;
    bodies::bodies(&ada).await;
    bodies::every_body_has_a_bound(&ada).await;
    validation::validation(&ada).await;
    validation::parameters(&ada).await;
    tokens::tokens(&ada).await;
    paths::paths(&ada).await;
    preconditions::preconditions(&ada).await;
    preconditions::writes_of_accounts(&ada).await;
    idempotency::idempotency(&ada).await;
    batch::batch(&ada).await;
    consistency::consistency(&ada).await;
    every_answer(&ada, system.admin()).await;
    system.stop().await;
}

/// Checks the shape that every problem has.
#[track_caller]
fn problem(answer: &Answer, status: u16, code: &str) {
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        (status, code),
        "{:?} {}",
        answer.headers,
        answer.body
    );
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.body["type"], format!("/problems/{code}"));
    assert_eq!(answer.body["status"], status);
    assert!(answer.body["title"].is_string());
    assert_eq!(answer.body["detail"].is_string(), status != 500);
    assert_eq!(answer.body["request_id"], answer.header("x-request-id"));
}

async fn raw(
    person: &Person,
    method: Method,
    path: &str,
    content_type: Option<&str>,
    body: impl Into<reqwest::Body>,
) -> Answer {
    let mut request =
        Client::new().request(method, format!("{}{path}", person.base)).bearer_auth(&person.token);
    if let Some(content_type) = content_type {
        request = request.header("Content-Type", content_type);
    }
    Answer::read(request.body(body).send().await.unwrap()).await.unwrap()
}

/// Sends a GET request again while the answer is 503 with `Retry-After`, as it may be on a busy machine, and returns
/// the first other answer.
async fn get_when_available(ada: &Person, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut last = None;
    until(path, Duration::from_secs(60), async || {
        let answer = ada.try_send(Method::GET, path, None, headers).await.unwrap();
        let again = answer.status == 503 && !answer.header("retry-after").is_empty();
        last = Some(answer);
        !again
    })
    .await;
    last.unwrap().expect(200)
}

async fn every_answer(ada: &Person, admin: String) {
    let answer =
        ada.try_send(Method::GET, "/tasks", None, &[("X-Request-Id", "my-request-7")]).await.unwrap();
    assert_eq!(answer.header("x-request-id"), "my-request-7");
    assert_eq!(answer.header("cache-control"), "private, no-cache");
    assert!(!answer.header("consistency-token").is_empty());
    for answer in [answer, ada.get("/nowhere").await, ada.get("/auth/me").await] {
        assert!(!answer.header("x-request-id").is_empty());
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
    assert_eq!(ada.get("/auth/me").await.header("cache-control"), "no-store");
    assert_eq!(ada.get("/health/live").await.status, 200);
    // On a busy machine a dependency may be slow for a moment.
    let ready = get_when_available(ada, "/health/ready", &[]).await;
    assert_eq!(ready.body, json!({"status": "ready"}));
    for at_the_admin_address in ["/metrics", "/health/startup"] {
        let answer = ada.get(at_the_admin_address).await;
        problem(&answer, 404, "not-found");
        assert!(!answer.header("ratelimit").is_empty(), "{at_the_admin_address}");
    }
    let operator = Person { base: admin, ..ada.clone() };
    let ready = get_when_available(&operator, "/health/ready", &[]).await;
    assert_eq!(ready.body["checks"]["command-api"], "ok");
    assert_eq!(operator.get("/health/startup").await.expect(200).body["status"], "ready");
    problem(&operator.get("/tasks").await, 404, "not-found");
    for role in ["gateway", "command-api", "query-api", "auth", "projector"] {
        // The page leaves out a role that does not answer in time.
        until(role, Duration::from_secs(60), async || {
            let metrics = operator.get("/metrics").await.expect(200);
            let text = metrics.body.as_str().unwrap();
            text.contains(&format!("role=\"{role}\""))
        })
        .await;
    }
    let keys = ada.get("/.well-known/jwks.json").await.expect(200);
    assert_eq!(keys.body["keys"][0]["kty"], "OKP");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_dependency_is_503_on_postgres_and_rabbitmq() {
    let mut system = System::start(Deployment::Servers).await;
    let ada = Person::join(&system.base, "ada").await;
    ada.get("/tasks").await.expect(200);
    ada.post("/tasks", json!({"title": "so that the command API has checked the token"})).await.expect(201);
    // No role has cached the token of this session yet.
    let mut unknown = ada.clone();
    unknown.log_in().await;
    system.kill(Role::QueryApi);
    let answer = ada.get("/tasks").await;
    problem(&answer, 503, "unavailable");
    assert!(!answer.header("retry-after").is_empty());
    system.kill(Role::Auth);
    problem(&unknown.post("/tasks", json!({"title": "a"})).await, 503, "unavailable");
    ada.post("/tasks", json!({"title": "a checked token keeps working"})).await.expect(201);
    system.launch(Role::QueryApi);
    system.launch(Role::Auth);
    system.ready().await;
    ada.get("/tasks").await.expect(200);
    system.stop().await;
}
