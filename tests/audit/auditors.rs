//! Audits with independent software, and after a restore of the log.

use database::{Database, Schema};
use ed25519_dalek::SigningKey;
use serde_json::json;
use transparency_log::{Algorithm, VerifierKey};

use super::Audited;
use crate::support::{Deployment, Role};

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
        let commands: Vec<_> =
            (0..100).map(|number| json!({"op": "create", "title": format!("{batch} {number}")})).collect();
        audited.ada.post("/tasks/batch", json!({ "commands": commands })).await.expect(200);
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

/// The commands of the documentation work as an auditor runs them.
#[tokio::test(flavor = "multi_thread")]
async fn embedded_recipe_of_the_documentation() {
    let documentation = include_str!("../../docs/audit.md");
    let (_, rest) = documentation.split_once("<!-- A test runs these commands. -->\n```bash\n").unwrap();
    let (recipe, _) = rest.split_once("```").unwrap();
    let is_command = |line: &&str| !line.starts_with(' ') && !line.starts_with('}');
    assert!(recipe.lines().filter(is_command).count() <= 10);
    let audited = Audited::start(Deployment::Embedded, 6).await;
    let (_, checkpoint) = audited.checkpoint().await;
    let (code, pem) = audited.system.outcome(&["audit", "key", "--pem"]);
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
    let database =
        Database::connect(&audited.system.database_url("events.db"), Schema::EventStore, 1).await.unwrap();
    database.execute("DELETE FROM events WHERE position > 5", &[]).await.unwrap();
    database.close().await;
    let (code, said) = audited.system.outcome(&["restore", "check"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("the audit tree"), "{said}");
    let (code, said) = audited.system.outcome(&["restore", "check", "--repair"]);
    assert_eq!(code, 0, "{said}");
    audited.system.launch(Role::Up);
    audited.system.ready().await;
    let output = audited.system.outcome(&["audit", "key"]).1;
    audited.keys = output.lines().map(|line| line.parse().unwrap()).collect();
    let (_, after) = audited.checkpoint().await;
    assert_ne!(after.origin, before.origin);
    // The log has its remaining events, and those that record the operator's repair and the new name.
    assert_eq!(after.size, 5 + 2);
    let repaired =
        audited.system.outcome(&["audit", "log", "--type", "operation.finished", "--format", "json"]).1;
    assert!(repaired.contains(&after.origin), "{repaired}");
    audited.system.stop().await;
}
