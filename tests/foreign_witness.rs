//! Witnesses and cosignatures against independent implementations: their client talks to our witness, and their
//! witness cosigns our log (aics-witness, see `.ci/witness-checker.bash`).

use std::{
    path::Path,
    process::{Child, Command},
};

use serde_json::{Value, json};
use tokio::net::TcpStream;
use transparency_log::{Note, VerifierKey, cosigned_at};

use crate::{
    audit::{Audited, Running, TIMEOUT},
    support::{Deployment, Role, free_port, until},
};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/witness_checker/check.py");

fn python() -> Command {
    let python = std::env::var("WITNESS_CHECKER");
    Command::new(
        python
            .map_err(|_| "WITNESS_CHECKER names no Python: run ./test, which installs what it needs")
            .unwrap(),
    )
}

/// Runs the independent code. Returns its output and whether it succeeded.
fn check(audited: &Audited, what: &str, witness: &str, rest: &[&str]) -> (bool, String) {
    let output = python()
        .args([SCRIPT, what, &audited.keys[0].to_string()])
        .arg(format!("{}/audit", audited.system.base))
        .arg(witness)
        .args(rest)
        .output()
        .unwrap();
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_witness_is_driven_by_a_foreign_client() {
    let audited = Audited::start(Deployment::Embedded, 3).await;
    let witness = Running::witness(&audited, "one");
    let (key, url) = witness.address.split_once('@').unwrap();
    let state = audited.files.path().join("client.json");
    for _ in 0..2 {
        audited.ada.post("/tasks", json!({"title": "One more"})).await.expect(201);
        let (_, checkpoint) = audited.checkpoint().await;
        let (accepted, said) = check(&audited, "drive", key, &[url, state.to_str().unwrap()]);
        assert!(accepted, "{said}");
        assert!(said.contains(&checkpoint.origin), "{said}");
    }
    // With the key of another witness the client refuses the answer, since that one has not cosigned.
    let other = Running::witness(&audited, "two");
    let (other, _) = other.address.split_once('@').unwrap();
    let state = audited.files.path().join("other.json");
    let (accepted, said) = check(&audited, "drive", other, &[url, state.to_str().unwrap()]);
    assert!(!accepted, "{said}");
    audited.system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_log_is_cosigned_by_a_foreign_witness() {
    let mut audited = Audited::start(Deployment::Embedded, 3).await;
    let (_, checkpoint) = audited.checkpoint().await;
    let witness = Foreign::start(audited.files.path(), &checkpoint.origin, &audited.keys[0]).await;
    audited.system.terminate(Role::Up);
    audited.system.set("TASKLEDGER_AUDIT_WITNESSES", witness.address.clone());
    audited.system.launch(Role::Up);
    audited.system.ready().await;
    let (key, _) = witness.address.split_once('@').unwrap();
    for _ in 0..2 {
        audited.ada.post("/tasks", json!({"title": "One more"})).await.expect(201);
        let (_, checkpoint) = audited.checkpoint().await;
        let known: VerifierKey = key.parse().unwrap();
        until("the foreign witness has cosigned", TIMEOUT, async || {
            let note: Note = audited.text("/audit/checkpoint").await.parse().unwrap();
            let size: Option<u64> = note.text.lines().nth(1).and_then(|size| size.parse().ok());
            size >= Some(checkpoint.size) && matches!(cosigned_at(&note, &known), Ok(Some(_)))
        })
        .await;
        let (accepted, said) = check(&audited, "cosigned", key, &[]);
        assert!(accepted, "{said}");
    }
    let (code, said) = audited.system.outcome(&["audit", "verify", "--json", "--witness", key]);
    let report: Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    assert_eq!((code, &report["holds"]), (0, &json!(true)), "{said}");
    assert!(report["cosignatures"].as_u64().unwrap() >= 2, "{said}");
    audited.system.stop().await;
}

/// A process of the independent witness.
struct Foreign {
    child: Child,
    /// Its key and address, as the log's configuration takes them.
    address: String,
}

impl Foreign {
    /// Starts it, and waits until it listens.
    async fn start(directory: &Path, origin: &str, log: &VerifierKey) -> Self {
        let config = directory.join("witness.json");
        let run = |arguments: &[&str]| {
            let output = python()
                .args(["-m", "aics_witness"])
                .args(arguments)
                .env("AICS_WITNESS_CONFIG", &config)
                .output()
                .unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        let said = run(&["init", "--name", "witness.example/foreign"]);
        let is_key = |word: &&str| word.parse::<VerifierKey>().is_ok();
        let key = said.split_whitespace().find(is_key).unwrap().to_owned();
        run(&["add-log", "--origin", origin, "--vkey", &log.to_string()]);
        let listen = format!("127.0.0.1:{}", free_port());
        let child = python()
            .args(["-m", "aics_witness", "serve", "--listen", &listen])
            .env("AICS_WITNESS_CONFIG", &config)
            .spawn()
            .unwrap();
        let started = Self { child, address: format!("{key}@http://{listen}/") };
        until("the witness listens", TIMEOUT, async || TcpStream::connect(&listen).await.is_ok()).await;
        started
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
