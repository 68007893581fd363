//! Witnesses that cosign checkpoints.

use std::fs;

use database::{Database, Schema};
use serde_json::Value;
use transparency_log::{Note, VerifierKey, cosigned_at};

use super::{Audited, TIMEOUT};
use crate::support::{Deployment, Role, until};

/// Two witnesses cosign what they are shown, and notice when the log is rewritten under the same name.
#[tokio::test(flavor = "multi_thread")]
async fn embedded_witnesses_notice_a_forked_log() {
    let mut audited = Audited::start(Deployment::Embedded, 5).await;
    let (_, before) = audited.checkpoint().await;
    let mut witnesses: Vec<Running> =
        ["one", "two"].map(|name| Running::witness(&audited, name)).into_iter().collect();
    audited.system.terminate(Role::Up);
    let addresses: Vec<&str> = witnesses.iter().map(|witness| witness.address.as_str()).collect();
    audited.system.set("TASKLEDGER_AUDIT_WITNESSES", addresses.join(","));
    audited.system.launch(Role::Up);
    audited.system.ready().await;
    let keys: Vec<VerifierKey> =
        addresses.iter().map(|address| address.split_once('@').unwrap().0.parse().unwrap()).collect();
    until("both have cosigned", TIMEOUT, async || {
        let note: Note = audited.text("/audit/checkpoint").await.parse().unwrap();
        keys.iter().all(|key| matches!(cosigned_at(&note, key), Ok(Some(_))))
    })
    .await;
    let arguments: Vec<String> =
        keys.iter().flat_map(|key| ["--witness".to_owned(), key.to_string()]).collect();
    let arguments: Vec<&str> =
        ["audit", "verify", "--json"].into_iter().chain(arguments.iter().map(String::as_str)).collect();
    let (code, said) = audited.system.outcome(&arguments);
    assert_eq!(code, 0, "{said}");
    let report: Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    assert!(report["cosignatures"].as_u64().unwrap() >= 2, "{said}");

    // An operator with the database and the key rewrites the log, the tree and the remembered checkpoint under the
    // same name.
    audited.system.terminate(Role::Up);
    let log =
        Database::connect(&audited.system.database_url("events.db"), Schema::EventStore, 1).await.unwrap();
    log.execute("UPDATE events SET recorded_at = recorded_at + 1 WHERE position = 2", &[]).await.unwrap();
    log.close().await;
    let tree =
        Database::connect(&audited.system.database_url("audit-tree.db"), Schema::AuditTree, 1).await.unwrap();
    for table in ["tree_tiles", "tree_checkpoints", "tree_cosignatures"] {
        tree.execute(&format!("DELETE FROM {table}"), &[]).await.unwrap();
    }
    tree.execute("UPDATE trees SET size = 0, position = 0, event_id = NULL", &[]).await.unwrap();
    tree.close().await;
    let (code, said) = audited.system.outcome(&["audit", "verify"]);
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("the log is not the one of the checkpoint that is remembered beside the keys"),
        "{said}"
    );
    for file in fs::read_dir(audited.system.data_dir().join("keys/audit")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "checkpoint") {
            fs::remove_file(path).unwrap();
        }
    }
    audited.system.launch(Role::Up);
    audited.system.ready().await;
    let (_, after) = audited.checkpoint().await;
    assert_eq!(after.origin, before.origin, "it is signed under the old name");
    let up = audited.system.replicas()[0];
    until("the witnesses do not cosign it", TIMEOUT, async || {
        audited.system.log_text(up).matches("a witness does not cosign").count() >= 2
    })
    .await;
    let note: Note = audited.text("/audit/checkpoint").await.parse().unwrap();
    assert_eq!(note.signatures.len(), 1, "nobody but the log has signed it");
    for witness in &mut witnesses {
        witness.stop();
    }
    audited.system.stop().await;
}

/// A witness in a process of its own.
pub(crate) struct Running {
    child: std::process::Child,
    /// Its key and address, as the log's configuration takes them.
    pub(crate) address: String,
}

impl Running {
    pub(crate) fn witness(audited: &Audited, name: &str) -> Self {
        use std::io::BufRead as _;
        let directory = audited.files.path().join(name);
        let name = format!("witness.example/{name}");
        let key = audited.keys[0].to_string();
        let arguments = ["audit", "witness", "--dir", directory.to_str().unwrap(), "--name", &name];
        let mut command = audited.system.tool(&arguments);
        command.args(["--log-key", &key, "--address", "127.0.0.1:0"]);
        let mut child = command.spawn().unwrap();
        let mut address = String::new();
        std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Self { child, address: address.trim_end().to_owned() }
    }

    fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}
