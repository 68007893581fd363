//! What the running system serves about the audit tree, and what the operator's commands say about it.

use std::path::Path;

use database::{Database, Schema};
use serde_json::{Value, json};
use transparency_log::{Hash, InclusionProof, verify_consistency};

use super::{Audited, leaf};
use crate::support::Deployment;

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
        audited.ada.post("/tasks", json!({"title": format!("Later {number}")})).await.expect(201);
    }

    // The endpoint waits for events that were just appended. On a busy machine it may give up once.
    let head = audited.head().await;
    let path = format!("/audit/proof?position={head}");
    if audited.get(&path).await.status() != 200 {
        audited.text(&path).await;
    }

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
        let proof: InclusionProof =
            audited.text(&format!("/audit/proof?position={position}")).await.parse().unwrap();
        assert_eq!(proof.index, index);
        proof.verify(leaf(line), &audited.keys).unwrap();
    }
    assert_eq!(audited.export("?from=2&to=3").await.lines().collect::<Vec<_>>(), lines[1..3]);

    let width = now.size;
    let tile = audited.get(&format!("/audit/tile/0/000.p/{width}")).await;
    assert_eq!(tile.status(), 200);
    assert_eq!(tile.headers()["cache-control"], "public, max-age=3600");
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

    let (code, said) = audited.system.outcome(&["audit", "verify"]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = audited.system.outcome(&["audit", "verify", "--checkpoint", &path(&checkpoint)]);
    assert_eq!(code, 0, "{said}");
    let position = serde_json::from_str::<Value>(lines[2]).unwrap()["event"]["position"].to_string();
    let (code, proof) = audited.system.outcome(&["audit", "prove", &position]);
    assert_eq!(code, 0, "{proof}");
    let proof = audited.file("event.tlog-proof", &proof);
    let check = |event: &Path| {
        audited.system.outcome(&[
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
        audited.system.outcome(&[
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

    // A line that is longer than any is not read to its end.
    let endless = audited.file("endless", "");
    let file = std::fs::File::options().write(true).open(&endless).unwrap();
    file.set_len(65 << 20).unwrap();
    let (code, said) = offline(&endless);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("longer than"), "{said}");

    // An event is changed in the database.
    let database =
        Database::connect(&audited.system.database_url("events.db"), Schema::EventStore, 1).await.unwrap();
    let sql = "UPDATE events SET recorded_at = recorded_at + 1 WHERE position = 4";
    assert_eq!(database.execute(sql, &[]).await.unwrap(), 1);
    let (code, said) = audited.system.outcome(&["audit", "verify", "--json"]);
    assert_eq!(code, 1, "{said}");
    let report: Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    assert_eq!(report["first_difference"], 4, "{said}");
    let back = "UPDATE events SET recorded_at = recorded_at - 1 WHERE position = 4";
    database.execute(back, &[]).await.unwrap();
    assert_eq!(audited.system.outcome(&["audit", "verify"]).0, 0);
}
