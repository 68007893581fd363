//! Requests beyond the caller's rights: every operation of the contract without a token and with a bad one,
//! operations of admins by somebody else, other people's data, and fields that nobody may set.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::with_token;
use crate::support::{Answer, Deployment, PASSWORD, Person, System};

#[tokio::test]
async fn embedded_nobody_gets_more_than_they_may() {
    nobody_gets_more_than_they_may(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_more_than_they_may_on_postgres_and_rabbitmq() {
    nobody_gets_more_than_they_may(Deployment::Servers).await;
}

struct Operation {
    method: Method,
    path: String,
}

impl Operation {
    async fn by(&self, person: &Person) -> Answer {
        person.send(self.method.clone(), &self.path, None).await
    }
}

/// Every operation of the contract that needs a token.
async fn guarded(person: &Person) -> Vec<Operation> {
    let document = person.get("/openapi.json").await.expect(200).body;
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if operation["security"].is_array() {
                found.push(Operation {
                    method: method.to_uppercase().parse().unwrap(),
                    path: path.replace("{id}", &Uuid::now_v7().to_string()),
                });
            }
        }
    }
    assert!(found.len() > 30, "{}", found.len());
    found
}

async fn nobody_gets_more_than_they_may(deployment: Deployment) {
    let system = System::start(deployment).await;
    let ada = Person::join(&system.base, "ada").await;
    let bob = Person::join(&system.base, "bob").await;

    let (stranger, forger) = (with_token(&ada, ""), with_token(&ada, "e30.e30.e30"));
    for operation in guarded(&ada).await {
        let Operation { method, path } = &operation;
        let answer = operation.by(&stranger).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (401, "token-missing"), "{method} {path}");
        let answer = operation.by(&forger).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (401, "token-invalid"), "{method} {path}");
        if path.starts_with("/auth/users")
            || ["/audit/export", "/auth/second-factor-roles"].contains(&path.as_str())
        {
            let body = (method == Method::PUT).then(|| json!({"roles": ["admin"]}));
            let answer = ada.send(method.clone(), path, body).await;
            assert_eq!((answer.status.as_u16(), answer.code()), (403, "forbidden"), "{method} {path}");
        }
    }

    for path in ["/tasks", "/auth/me", "/health/live"] {
        let answer = ada.send(Method::TRACE, path, None).await;
        assert_eq!(answer.expect(405).code(), "method-not-allowed", "{path}");
    }

    // Bob's task does not exist for Ada.
    let task = bob.post("/tasks", json!({"title": "Bob's"})).await.expect(201).body;
    let wish = json!({"name": "Bob's", "scopes": ["tasks:read"]});
    let token = bob.post("/auth/tokens", wish).await.expect(201).body;
    let sessions = bob.get("/auth/sessions").await.expect(200).body;
    let id = |value: &Value| value["id"].as_str().unwrap().to_owned();
    let (task, session) = (id(&task), id(&sessions["items"][0]));
    for (method, path) in [
        (Method::GET, format!("/tasks/{task}")),
        (Method::GET, format!("/tasks/{task}/history")),
        (Method::POST, format!("/tasks/{task}/complete")),
        (Method::POST, format!("/tasks/{task}/restore")),
        (Method::DELETE, format!("/tasks/{task}")),
        (Method::DELETE, format!("/auth/sessions/{session}")),
        (Method::DELETE, format!("/auth/tokens/{}", id(&token))),
    ] {
        let answer = ada.send(method.clone(), &path, None).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (404, "not-found"), "{method} {path}");
    }
    bob.get("/auth/me").await.expect(200);
    let tokens = bob.get("/auth/tokens").await.expect(200).body;
    assert_eq!(id(&tokens["items"][0]), id(&token));

    // Registration does not accept roles.
    let email = format!("eve-{}@example.org", Uuid::new_v4().simple());
    let eve = json!({"email": email, "password": PASSWORD, "roles": ["admin"]});
    let bad_token = json!({"name": "All", "scopes": ["tasks:read", "admin"]});
    for (answer, pointer) in [
        (stranger.post("/auth/register", eve).await, "/roles"),
        (ada.patch("/auth/me", json!({"roles": ["admin"]})).await, "/roles"),
        (ada.patch("/auth/me", json!({"email": bob.email})).await, "/email"),
        (ada.post("/tasks", json!({"title": "Hers", "owner": bob.email})).await, "/owner"),
        (ada.post("/auth/tokens", bad_token).await, "/scopes/1"),
    ] {
        let answer = answer.expect(422);
        assert_eq!(answer.body["errors"][0]["pointer"], pointer, "{}", answer.body);
    }
    system.stop().await;
}
