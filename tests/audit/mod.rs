//! The audit tree of the running system as auditors see it, from outside, with the public key and a checkpoint.

mod auditors;
mod served;
mod witnesses;

use std::{fs, path::PathBuf, time::Duration};

use reqwest::Response;
use serde_json::{Value, json};
use transparency_log::{Checkpoint, Hash, Note, VerifierKey, entry_hash, leaf_hash};

use crate::support::{Deployment, Person, System, until};

pub(crate) use witnesses::Running;

pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// A system with some events, and the keys that an auditor has.
pub(crate) struct Audited {
    pub(crate) system: System,
    pub(crate) ada: Person,
    auditor: Person,
    pub(crate) keys: Vec<VerifierKey>,
    pub(crate) files: tempfile::TempDir,
}

impl Audited {
    pub(crate) async fn start(deployment: Deployment, tasks: usize) -> Self {
        let system = System::start(deployment).await;
        let ada = Person::join(&system.base, "ada").await;
        let mut auditor = Person::join(&system.base, "auditor").await;
        system.run(&["users", "grant", &auditor.email, "auditor"]);
        auditor.log_in().await;
        for number in 0..tasks {
            ada.post("/tasks", json!({"title": format!("Task {number}")})).await.expect(201);
        }
        let text = system.run(&["audit", "key"]);
        let keys = text.lines().map(|line| line.parse().unwrap()).collect();
        Self { system, ada, auditor, keys, files: tempfile::tempdir().unwrap() }
    }

    /// Sends a GET request without a token.
    async fn get(&self, path: &str) -> Response {
        reqwest::get(format!("{}{path}", self.system.base)).await.unwrap()
    }

    pub(crate) async fn text(&self, path: &str) -> String {
        let response = self.get(path).await;
        assert_eq!(response.status(), 200, "{path}");
        response.text().await.unwrap()
    }

    /// The checkpoint, once it covers all current events.
    pub(crate) async fn checkpoint(&self) -> (String, Checkpoint) {
        let head = self.head().await;
        let mut found = None;
        until("the checkpoint covers the log", TIMEOUT, async || {
            let response = self.get("/audit/checkpoint").await;
            if response.status() != 200 {
                return false;
            }
            let text = response.text().await.unwrap();
            let note: Note = text.parse().unwrap();
            let checkpoint = Checkpoint::open(&note, &self.keys).unwrap();
            let is_there = checkpoint.size >= head;
            found = Some((text, checkpoint));
            is_there
        })
        .await;
        found.unwrap()
    }

    async fn head(&self) -> u64 {
        let store = event_store::open(&self.system.store_url(), 1).await.unwrap();
        store.head().await.unwrap()
    }

    async fn export(&self, query: &str) -> String {
        let answer = self.auditor.get(&format!("/audit/export{query}")).await.expect(200);
        assert_eq!(answer.header("content-type"), "application/x-ndjson");
        match answer.body {
            Value::String(text) => text,
            one => one.to_string(),
        }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.files.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

fn leaf(line: &str) -> Hash {
    let event = log_transfer::ExportedEvent::parse(line).unwrap().event;
    leaf_hash(&entry_hash(&event.canonical()).0)
}
