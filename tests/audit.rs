//! The audit tree of the running system as auditors see it, from outside, with the public key and a checkpoint.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};

use database::{Database, Schema};
use ed25519_dalek::SigningKey;
use reqwest::Response;
use serde_json::{Value, json};
use transparency_log::{
    Algorithm, Checkpoint, Hash, InclusionProof, Note, VerifierKey, cosigned_at, entry_hash, leaf_hash,
    verify_consistency,
};

use crate::support::{Deployment, Person, Role, System, until};

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
        assert!(
            system
                .tool(&["users", "grant", &auditor.email, "auditor"])
                .status()
                .unwrap()
                .success()
        );
        auditor.log_in().await;
        for number in 0..tasks {
            ada.post("/tasks", json!({"title": format!("Task {number}")}))
                .await
                .expect(201);
        }
        let output = system.tool(&["audit", "key"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let keys = text.lines().map(|line| line.parse().unwrap()).collect();
        Self {
            system,
            ada,
            auditor,
            keys,
            files: tempfile::tempdir().unwrap(),
        }
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
        let answer = self
            .auditor
            .get(&format!("/audit/export{query}"))
            .await
            .expect(200);
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

    pub(crate) fn tool(&self, arguments: &[&str]) -> (i32, String) {
        let output: Output = self.system.tool(arguments).output().unwrap();
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code().unwrap(), said)
    }
}

fn leaf(line: &str) -> Hash {
    let event = log_transfer::ExportedEvent::parse(line).unwrap().event;
    leaf_hash(&entry_hash(&event.canonical()).0)
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_audit() {
    audit(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_on_postgres_and_rabbitmq() {
    audit(Deployment::Servers).await;
}

async fn audit(deployment: Deployment) {
    let audited = Audited::start(deployment, 5).await;
    let (_, before) = audited.checkpoint().await;
    for number in 0..5 {
        audited
            .ada
            .post("/tasks", json!({"title": format!("Later {number}")}))
            .await
            .expect(201);
    }

    // The endpoint waits for events that were just appended.
    let head = audited.head().await;
    audited.text(&format!("/audit/proof?position={head}")).await;

    let (note, now) = audited.checkpoint().await;
    assert_eq!(before.origin, now.origin);
    assert!(before.size < now.size);
    let path = format!("/audit/consistency?from={}&to={}", before.size, now.size);
    let proof: Value = audited.get(&path).await.json().await.unwrap();
    let hashes: Vec<Hash> = proof["consistency"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hash| hash.as_str().unwrap().parse().unwrap())
        .collect();
    verify_consistency(before.size, &before.root, now.size, &now.root, &hashes).unwrap();

    let export = audited.export("").await;
    let lines: Vec<&str> = export.lines().collect();
    assert_eq!(lines.len() as u64, now.size);
    assert!(!export.contains("argon2"), "hashes of passwords are withheld");
    for (index, line) in (0..).zip(&lines) {
        let position = serde_json::from_str::<Value>(line).unwrap()["event"]["position"].clone();
        let proof: InclusionProof = audited
            .text(&format!("/audit/proof?position={position}"))
            .await
            .parse()
            .unwrap();
        assert_eq!(proof.index, index);
        proof.verify(leaf(line), &audited.keys).unwrap();
    }
    assert_eq!(
        audited.export("?from=2&to=3").await.lines().collect::<Vec<_>>(),
        lines[1..3]
    );

    let width = now.size;
    let tile = audited.get(&format!("/audit/tile/0/000.p/{width}")).await;
    assert_eq!(tile.status(), 200);
    assert!(
        tile.headers()["cache-control"]
            .to_str()
            .unwrap()
            .contains("immutable")
    );
    let bytes = tile.bytes().await.unwrap();
    let leaves: Vec<u8> = lines.iter().flat_map(|line| leaf(line).0).collect();
    assert_eq!(bytes, leaves);
    let entries = audited.get(&format!("/audit/tile/entries/000.p/{width}")).await;
    assert_eq!(entries.bytes().await.unwrap().len() as u64, width * 34);

    refusals(&audited).await;
    tools(&audited, &note, &export, &lines).await;
    audited.system.stop().await;
}

async fn refusals(audited: &Audited) {
    for path in [
        "/audit/proof?position=0",
        "/audit/proof?position=1000000",
        "/audit/tile/0/000",
        "/audit/tile/0/0",
        "/audit/tile/9/000.p/1",
        "/audit/tile/entries/x001/000",
    ] {
        assert_eq!(audited.get(path).await.status(), 404, "{path}");
    }
    for path in [
        "/audit/proof",
        "/audit/proof?position=-1",
        "/audit/proof?position=x",
        "/audit/consistency",
        "/audit/consistency?from=2&to=1",
        "/audit/consistency?from=1&to=1000000",
        "/audit/checkpoint?x=1",
    ] {
        assert_eq!(audited.get(path).await.status(), 400, "{path}");
    }
    assert_eq!(audited.get("/audit/export").await.status(), 401);
    audited.ada.get("/audit/export").await.expect(403);
    audited.auditor.get("/audit/export?from=x").await.expect(400);
}

async fn tools(audited: &Audited, note: &str, export: &str, lines: &[&str]) {
    let key = audited.keys[0].to_string();
    let checkpoint = audited.file("checkpoint", note);
    let whole = audited.file("export.ndjson", export);
    let event = audited.file("event.json", lines[2]);
    let path = |path: &Path| path.to_str().unwrap().to_owned();

    let (code, said) = audited.tool(&["audit", "verify"]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = audited.tool(&["audit", "verify", "--checkpoint", &path(&checkpoint)]);
    assert_eq!(code, 0, "{said}");
    let position = serde_json::from_str::<Value>(lines[2]).unwrap()["event"]["position"].to_string();
    let (code, proof) = audited.tool(&["audit", "prove", &position]);
    assert_eq!(code, 0, "{proof}");
    let proof = audited.file("event.tlog-proof", &proof);
    let check = |event: &Path| {
        audited.tool(&[
            "audit",
            "check-proof",
            &path(&proof),
            "--event",
            &path(event),
            "--key",
            &key,
        ])
    };
    let (code, said) = check(&event);
    assert_eq!(code, 0, "{said}");
    let other = audited.file("other.json", lines[3]);
    let (code, said) = check(&other);
    assert_eq!(code, 1, "{said}");

    let offline = |export: &Path| {
        audited.tool(&[
            "audit",
            "verify",
            "--export",
            &path(export),
            "--key",
            &key,
            "--checkpoint",
            &path(&checkpoint),
            "--json",
        ])
    };
    let (code, said) = offline(&whole);
    assert_eq!(code, 0, "{said}");
    let withheld = lines.iter().filter(|line| line.contains("data_without_secrets"));
    let report: Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    assert_eq!(report["withheld"], withheld.count(), "{said}");
    let mut fewer = lines.to_vec();
    fewer.remove(3);
    let mut swapped = lines.to_vec();
    swapped.swap(3, 4);
    let mut changed: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    changed[3] = changed[3].replacen("\"schema_version\":", "\"schema_version\":1", 1);
    let of_a_task = |line: &str| line.contains("\"task.created\"");
    let without = |member: &str| -> Vec<String> {
        let edit = |line: &&str| {
            let mut event: Value = serde_json::from_str(line).unwrap();
            if of_a_task(line) {
                event.as_object_mut().unwrap().remove(member).unwrap();
            }
            event.to_string()
        };
        lines.iter().map(edit).collect()
    };
    let claimed: Vec<String> = lines
        .iter()
        .map(|line| match of_a_task(line) {
            true => line.replace("\"data\":", "\"data_without_secrets\":"),
            false => (*line).to_owned(),
        })
        .collect();
    assert!(lines.iter().any(|line| of_a_task(line)));
    for (name, text) in [
        ("fewer", fewer.join("\n")),
        ("swapped", swapped.join("\n")),
        ("changed", changed.join("\n")),
        ("short", lines[..lines.len() - 1].join("\n")),
        ("without_data", without("data").join("\n")),
        ("without_metadata", without("metadata").join("\n")),
        ("claimed_to_be_secret", claimed.join("\n")),
    ] {
        let (code, said) = offline(&audited.file(name, &text));
        assert_eq!(code, 1, "{name}: {said}");
    }

    // An event is changed in the database.
    let database = Database::connect(&audited.system.database_url("events.db"), Schema::EventStore, 1)
        .await
        .unwrap();
    let sql = "UPDATE events SET recorded_at = recorded_at + 1 WHERE position = 4";
    assert_eq!(database.execute(sql, &[]).await.unwrap(), 1);
    let (code, said) = audited.tool(&["audit", "verify", "--json"]);
    assert_eq!(code, 1, "{said}");
    let report: Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    assert_eq!(report["first_difference"], 4, "{said}");
    let back = "UPDATE events SET recorded_at = recorded_at - 1 WHERE position = 4";
    database.execute(back, &[]).await.unwrap();
    assert_eq!(audited.tool(&["audit", "verify"]).0, 0);
}

/// The tree is checked by independent libraries.
#[tokio::test(flavor = "multi_thread")]
async fn embedded_tree_is_accepted_by_the_libraries_of_go() {
    let Ok(checker) = std::env::var("AUDIT_CHECKER") else {
        panic!("AUDIT_CHECKER names no program: run ./test, which builds it");
    };
    let audited = Audited::start(Deployment::Embedded, 3).await;
    let (earlier, _) = audited.checkpoint().await;
    let earlier = audited.file("earlier", &earlier);
    // There are enough events for more than one tile.
    for batch in 0..3 {
        let commands: Vec<_> = (0..100)
            .map(|number| json!({"op": "create", "title": format!("{batch} {number}")}))
            .collect();
        audited
            .ada
            .post("/tasks/batch", json!({ "commands": commands }))
            .await
            .expect(200);
    }
    audited.checkpoint().await;
    let check = |key: &str| {
        let output = std::process::Command::new(&checker)
            .args([key, &format!("{}/audit", audited.system.base)])
            .arg(&earlier)
            .output()
            .unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        )
    };
    let (accepted, said) = check(&audited.keys[0].to_string());
    assert!(accepted, "{said}");
    assert!(said.contains("events, "), "{said}");
    eprintln!("the libraries of Go: {said}");
    // The libraries refuse a checkpoint of another key.
    let name = audited.keys[0].name();
    let other = SigningKey::from_bytes(&[7; 32]).verifying_key();
    let other = VerifierKey::new(name, Algorithm::Ed25519, other).unwrap();
    let (accepted, said) = check(&other.to_string());
    assert!(!accepted, "{said}");
    audited.system.stop().await;
}

/// Two witnesses cosign what they are shown, and notice when the log is rewritten under the same name.
#[tokio::test(flavor = "multi_thread")]
async fn embedded_witnesses_notice_a_forked_log() {
    let mut audited = Audited::start(Deployment::Embedded, 5).await;
    let (_, before) = audited.checkpoint().await;
    let mut witnesses: Vec<Running> = ["one", "two"]
        .map(|name| Running::witness(&audited, name))
        .into_iter()
        .collect();
    audited.system.terminate(Role::Up);
    let addresses: Vec<&str> = witnesses.iter().map(|witness| witness.address.as_str()).collect();
    audited
        .system
        .set("TASKLEDGER_AUDIT_WITNESSES", addresses.join(","));
    audited.system.launch(Role::Up);
    audited.system.ready().await;
    let keys: Vec<VerifierKey> = addresses
        .iter()
        .map(|address| address.split_once('@').unwrap().0.parse().unwrap())
        .collect();
    until("both have cosigned", TIMEOUT, async || {
        let note: Note = audited.text("/audit/checkpoint").await.parse().unwrap();
        keys.iter()
            .all(|key| matches!(cosigned_at(&note, key), Ok(Some(_))))
    })
    .await;
    let arguments: Vec<String> = keys
        .iter()
        .flat_map(|key| ["--witness".to_owned(), key.to_string()])
        .collect();
    let arguments: Vec<&str> = ["audit", "verify", "--json"]
        .into_iter()
        .chain(arguments.iter().map(String::as_str))
        .collect();
    let (code, said) = audited.tool(&arguments);
    assert_eq!(code, 0, "{said}");
    let report: Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    assert!(report["cosignatures"].as_u64().unwrap() >= 2, "{said}");

    // An operator with the database and the key rewrites the log, the tree and the remembered checkpoint under the
    // same name.
    audited.system.terminate(Role::Up);
    let log = Database::connect(&audited.system.database_url("events.db"), Schema::EventStore, 1)
        .await
        .unwrap();
    log.execute(
        "UPDATE events SET recorded_at = recorded_at + 1 WHERE position = 2",
        &[],
    )
    .await
    .unwrap();
    log.close().await;
    let tree = Database::connect(
        &audited.system.database_url("audit-tree.db"),
        Schema::AuditTree,
        1,
    )
    .await
    .unwrap();
    for table in ["tree_tiles", "tree_checkpoints", "tree_cosignatures"] {
        tree.execute(&format!("DELETE FROM {table}"), &[]).await.unwrap();
    }
    tree.execute("UPDATE trees SET size = 0, position = 0, event_id = NULL", &[])
        .await
        .unwrap();
    tree.close().await;
    let (code, said) = audited.tool(&["audit", "verify"]);
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("the log is not the one of the checkpoint that is remembered beside the keys"),
        "{said}"
    );
    for file in fs::read_dir(audited.system.data_dir().join("keys/audit")).unwrap() {
        let path = file.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "checkpoint")
        {
            fs::remove_file(path).unwrap();
        }
    }
    audited.system.launch(Role::Up);
    audited.system.ready().await;
    let (_, after) = audited.checkpoint().await;
    assert_eq!(after.origin, before.origin, "it is signed under the old name");
    let up = audited.system.replicas()[0];
    until("the witnesses do not cosign it", TIMEOUT, async || {
        audited
            .system
            .log_text(up)
            .matches("a witness does not cosign")
            .count()
            >= 2
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
        let arguments = [
            "audit",
            "witness",
            "--dir",
            directory.to_str().unwrap(),
            "--name",
            &name,
        ];
        let mut command = audited.system.tool(&arguments);
        command.args(["--log-key", &key, "--address", "127.0.0.1:0"]);
        let mut child = command.spawn().unwrap();
        let mut address = String::new();
        std::io::BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut address)
            .unwrap();
        Self {
            child,
            address: address.trim_end().to_owned(),
        }
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

/// The commands of the documentation work as an auditor runs them.
#[tokio::test(flavor = "multi_thread")]
async fn embedded_recipe_of_the_documentation() {
    let documentation = include_str!("../docs/audit.md");
    let (_, rest) = documentation
        .split_once("<!-- A test runs these commands. -->\n```bash\n")
        .unwrap();
    let (recipe, _) = rest.split_once("```").unwrap();
    let is_command = |line: &&str| !line.starts_with(' ') && !line.starts_with('}');
    assert!(recipe.lines().filter(is_command).count() <= 10);
    let audited = Audited::start(Deployment::Embedded, 6).await;
    let (_, checkpoint) = audited.checkpoint().await;
    let (code, pem) = audited.tool(&["audit", "key", "--pem"]);
    assert_eq!(code, 0, "{pem}");
    audited.file("key.pem", &pem);
    let run = |position: u64, recipe: &str| {
        let output = std::process::Command::new("bash")
            .args(["-euo", "pipefail", "-c", recipe])
            .current_dir(audited.files.path())
            .env("URL", &audited.system.base)
            .env("TOKEN", &audited.auditor.token)
            .env("POSITION", position.to_string())
            .output()
            .unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        )
    };
    for position in 1..=checkpoint.size {
        let (holds, said) = run(position, recipe);
        assert!(holds, "{position}: {said}");
    }
    // An event that was changed on its way is refused.
    let forged = recipe.replace(" >event\n", " | sed 's/\"version\":1/\"version\":2/' >event\n");
    assert_ne!(forged, recipe);
    let (holds, said) = run(1, &forged);
    assert!(!holds, "{said}");
    for (what, change) in [
        ("metadata", ".metadata += \" \""),
        ("data", ".data += \" \""),
        ("data", ".data_without_secrets = {} | .data += \" \""),
        ("data", ".data_base64 = \"e30=\" | del(.data)"),
    ] {
        let forged = recipe.replace(" >event\n", &format!(" | jq -c '{change}' >event\n"));
        let (holds, said) = run(checkpoint.size, &forged);
        assert!(!holds, "{change}: {said}");
        assert!(said.contains(&format!("{what}: FAILED")), "{change}: {said}");
    }
    audited.system.stop().await;
}

/// After the log is restored to an earlier end, nothing is signed under the old name, and one command begins a tree
/// with a new name.
#[tokio::test(flavor = "multi_thread")]
async fn embedded_log_that_was_restored_is_signed_under_a_new_name() {
    let mut audited = Audited::start(Deployment::Embedded, 5).await;
    let (_, before) = audited.checkpoint().await;
    audited.system.terminate(Role::Up);
    let database = Database::connect(&audited.system.database_url("events.db"), Schema::EventStore, 1)
        .await
        .unwrap();
    database
        .execute("DELETE FROM events WHERE position > 5", &[])
        .await
        .unwrap();
    database.close().await;
    let (code, said) = audited.tool(&["restore", "check"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("the audit tree"), "{said}");
    let (code, said) = audited.tool(&["restore", "check", "--repair"]);
    assert_eq!(code, 0, "{said}");
    audited.system.launch(Role::Up);
    audited.system.ready().await;
    let output = audited.tool(&["audit", "key"]).1;
    audited.keys = output.lines().map(|line| line.parse().unwrap()).collect();
    let (_, after) = audited.checkpoint().await;
    assert_ne!(after.origin, before.origin);
    // The log has its remaining events, and those that record the operator's repair and the new name.
    assert_eq!(after.size, 5 + 2);
    let repaired = audited
        .tool(&["audit", "log", "--type", "operation.finished", "--format", "json"])
        .1;
    assert!(repaired.contains(&after.origin), "{repaired}");
    audited.system.stop().await;
}
