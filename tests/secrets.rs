//! No secret is in a log, even at the finest level, and no long-lived secret is sent over the broker.

use std::time::Duration;

use reqwest::Method;
use ring::digest;
use serde_json::{Value, json};

use crate::support::{Deployment, PASSWORD, Person, System, totp_code, until};

const WRONG: &str = "this passphrase is wrong";
const NEXT: &str = "violet harbour lantern";
const LAST: &str = "marble bicycle teapot";

#[tokio::test]
async fn embedded_logs_hold_no_secret() {
    secrets_stay_secret(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_logs_nor_the_broker_hold_a_secret_on_postgres_and_rabbitmq() {
    secrets_stay_secret(Deployment::Servers).await;
}

/// Secrets that must not appear.
#[derive(Default)]
struct Secrets {
    /// Secrets that are valid for minutes. Auth is asked about them over the broker.
    short: Vec<String>,
    long: Vec<String>,
}

impl Secrets {
    fn tokens_of(&mut self, answer: &Value) {
        self.short.push(text(answer, "access_token"));
        self.long(text(answer, "refresh_token"));
    }

    /// Adds the secret and what the event log contains of it.
    fn long(&mut self, secret: String) {
        let hash = digest::digest(&digest::SHA256, secret.as_bytes());
        self.long.push(hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect());
        self.long.push(secret);
    }
}

fn text(answer: &Value, name: &str) -> String {
    answer[name].as_str().unwrap().to_owned()
}

async fn secrets_stay_secret(deployment: Deployment) {
    let mut system = System::prepared(deployment).await;
    system.set("TASKLEDGER_LOG", "trace");
    if let Some(broker) = &system.proxy {
        broker.record();
    }
    system.launch_all();
    system.ready().await;
    let secrets = use_every_secret(&system).await;
    let replicas = system.replicas();
    let broker: Vec<String> = system.proxy.as_ref().map_or_else(Vec::new, |broker| {
        let recorded = broker.recorded();
        recorded.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
    });
    // Processes write the rest of their logs when they end.
    system.terminate_all();
    for replica in replicas {
        let log = system.log_text(replica);
        // Some roles log nothing at finer levels.
        assert!(log.contains("DEBUG"), "{replica:?} does not log everything");
        for secret in secrets.short.iter().chain(&secrets.long) {
            let line = log.lines().find(|line| line.contains(secret.as_str()));
            assert!(line.is_none(), "{replica:?} has logged a secret: {line:?}");
        }
    }
    if deployment == Deployment::Servers {
        assert!(broker.iter().any(|piece| piece.contains("task.created")));
    }
    for piece in &broker {
        for secret in &secrets.long {
            assert!(!piece.contains(secret.as_str()), "the broker has seen {secret}");
        }
    }
    system.stop().await;
}

/// Uses every kind of secret, and returns all of them.
async fn use_every_secret(system: &System) -> Secrets {
    let mut secrets = Secrets {
        long: [PASSWORD, WRONG, NEXT, LAST, "$argon2id$"].map(str::to_owned).into(),
        ..Secrets::default()
    };
    let mut ada = Person::join(&system.base, "ada").await;
    secrets.tokens_of(&ada.log_in().await.body);
    let wrong = json!({"email": ada.email, "password": WRONG});
    ada.post("/auth/login", wrong).await.expect(401);
    let refresh = json!({"refresh_token": ada.refresh_token});
    let refreshed = ada.post("/auth/refresh", refresh).await.expect(200).body;
    secrets.tokens_of(&refreshed);
    ada.token = text(&refreshed, "access_token");

    let wish = json!({"name": "Robot", "scopes": ["tasks:read", "tasks:write"]});
    let made = ada.post("/auth/tokens", wish).await.expect(201).body;
    let robot = Person { token: text(&made, "token"), ..ada.clone() };
    // Auth is asked about its hash.
    secrets.long.push(robot.token.clone());
    robot.post("/tasks", json!({"title": "Keep a secret"})).await.expect(201);
    // Logging everything makes requests and projecting slow.
    until("the tasks are shown", Duration::from_secs(30), async || robot.get("/tasks").await.status == 200)
        .await;

    let enrolled = ada.post("/auth/me/totp", json!({"password": PASSWORD})).await.expect(200).body;
    let secret = text(&enrolled, "secret");
    let confirm = json!({"code": totp_code(&secret)});
    ada.post("/auth/me/totp/confirm", confirm).await.expect(204);
    let recovery: Vec<String> = serde_json::from_value(enrolled["recovery_codes"].clone()).unwrap();
    for code in &recovery {
        secrets.long(code.clone());
        // Recovery codes are hashed without the hyphens.
        secrets.long(code.replace('-', ""));
    }
    secrets.long(secret.clone());
    let login = json!({"email": ada.email, "password": PASSWORD});
    let mfa_token = text(&ada.post("/auth/login", login).await.expect(401).body, "mfa_token");
    secrets.long(mfa_token.clone());
    for (code, status) in [("000000", 401), (recovery[0].as_str(), 200)] {
        let body = json!({"mfa_token": mfa_token, "code": code});
        let answer = ada.post("/auth/login/second-factor", body).await.expect(status).body;
        if status == 200 {
            secrets.tokens_of(&answer);
        }
    }

    let change = json!({"current_password": PASSWORD, "new_password": NEXT});
    ada.post("/auth/me/password", change).await.expect(204);
    let said = system.tool(&["users", "reset", &ada.email]).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let reset_token = said.lines().next().unwrap().to_owned();
    secrets.long(reset_token.clone());
    let reset = json!({"reset_token": reset_token, "new_password": LAST});
    ada.post("/auth/reset", reset).await.expect(204);
    ada.send(Method::GET, "/auth/me", None).await.expect(401);
    system.read_models_equal_the_log().await;
    secrets
}
