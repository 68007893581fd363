//! The running system answers as `docs/openapi.json` says. schemathesis generates valid and invalid requests from the
//! document and checks every answer.

use std::{
    fs::File,
    process::{Child, Command, Stdio},
    time::Duration,
};

use reqwest::Method;
use serde_json::Value;

use crate::support::{Deployment, PASSWORD, Person, System, until};

/// Every operation must succeed at least once, so that the run covers it. These cannot succeed with generated
/// requests: they need a token or a password that cannot be guessed, do not end, or leave nothing for another
/// operation.
const CANNOT_BE_MADE_UP: [&str; 12] = [
    "eraseMe",
    "refresh",
    "changePassword",
    "getTile",
    "enrollTotp",
    "confirmTotp",
    "removeTotp",
    "loginWithSecondFactor",
    "resetPassword",
    "followTasks",
    "revokeProgramTokens",
    "undoRequest",
];

#[tokio::test(flavor = "multi_thread")]
async fn embedded_system_keeps_the_contract_says_schemathesis() {
    let Ok(schemathesis) = std::env::var("SCHEMATHESIS") else {
        panic!("SCHEMATHESIS names no program: run ./test, which installs it");
    };
    let mut system = System::prepared(Deployment::Embedded).await;
    // schemathesis ends its own session again and again, and logs in more often than the default limit allows.
    let policy = system.directory().join("gateway.toml");
    std::fs::write(&policy, "[unauthenticated]\nrequests = 1000\nper_seconds = 1\n").unwrap();
    system.set("TASKLEDGER_GATEWAY_CONFIG", policy.display().to_string());
    system.launch_all();
    system.ready().await;
    let root = system.join_admin().await;
    let other = Person::join(&system.base, "other").await;
    let other_id = other.get("/auth/me").await.expect(200).body["user"]["id"].as_str().unwrap().to_owned();

    let report = system.data_dir().join("schemathesis.txt");
    let file = File::create(&report).unwrap();
    let child = Command::new(schemathesis)
        .args(["--config-file", concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/contract/schemathesis.toml")])
        .args(["run", concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json")])
        .args(["--url", &system.base, "--no-color"])
        .env("CONTRACT_HOOKS", concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/contract/hooks.py"))
        .env("CONTRACT_EMAIL", &root.email)
        .env("CONTRACT_PASSWORD", PASSWORD)
        .env("CONTRACT_OTHER_ID", &other_id)
        .current_dir(system.data_dir())
        .stdin(Stdio::null())
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .spawn();
    let mut running = Running(child.unwrap());
    let mut exit = None;
    until("schemathesis ends", Duration::from_secs(900), async || {
        exit = running.0.try_wait().unwrap();
        exit.is_some()
    })
    .await;
    assert!(exit.unwrap().success(), "{}", std::fs::read_to_string(&report).unwrap());
    every_operation_worked(&system).await;
    system.stop().await;
}

/// A child process that is killed at the end of the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Checks that every operation succeeded at least once.
async fn every_operation_worked(system: &System) {
    let document: Value = serde_json::from_str(include_str!("../docs/openapi.json")).unwrap();
    let metrics = reqwest::get(format!("{}/metrics", system.admin())).await.unwrap().text().await.unwrap();
    let worked = |method: &Method, path: &str| {
        let route = format!("route=\"{path}\"");
        let method = format!("method=\"{method}\"");
        metrics.lines().any(|line| {
            line.starts_with("taskledger_http_requests_total{")
                && line.contains(&route)
                && line.contains(&method)
                && line.contains("status=\"2")
        })
    };
    let mut idle = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap();
            let method = method.to_uppercase().parse().unwrap();
            if !CANNOT_BE_MADE_UP.contains(&name) && !worked(&method, path) {
                idle.push(name.to_owned());
            }
        }
    }
    assert!(idle.is_empty(), "these never worked: {idle:?}");
}
