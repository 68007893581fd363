//! The whole procedure on both deployments: every earlier proof stays valid.

use std::{
    fs,
    path::{Path, PathBuf},
};

use events::{StreamName, TaskId, Timestamp};
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use sqlx::Connection as _;

use super::{BEFORE, LONG_AGO, Old, SESSIONS, TIMEOUT, old_session, old_task};
use crate::support::{Deployment, Person, Role, System, until};

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_leaves_an_embedded_log() {
    dropped(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_leaves_a_log_on_servers() {
    dropped(Deployment::Servers).await;
}

/// The lines of an export, by position.
fn lines(path: &str) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn dropped(deployment: Deployment) {
    let system = System::start(deployment).await;
    let mut ada = Person::join(&system.base, "ada").await;
    let store = system.open_log().await;
    let kept = ada.post("/tasks", json!({"title": "Kept"})).await.expect(201).body;
    let since = ada.get("/tasks/changes").await.expect(200).body["next"].clone();
    let account = test_support::read_all(&*store, 0, 1_000).await;
    let me = account.iter().find(|event| event.kind == "task.created");
    let me = me.unwrap().metadata.subject;
    let first = store.head().await.unwrap() + 1;
    let purged = old_task(&*store, me).await;
    let sessions =
        stream::iter(0..SESSIONS).map(|number| old_session(&*store, me, number % 2 == 0, LONG_AGO));
    let sessions: Vec<_> = sessions.buffer_unordered(64).collect().await;
    system.read_models_equal_the_log().await;
    let mut old = Old::of(system).await;
    old.key = old.run(&["audit", "key"]).trim().to_owned();
    let head = store.head().await.unwrap();
    until("the checkpoint covers the log", TIMEOUT, async || {
        let url = format!("{}/audit/checkpoint", old.system.base);
        let text = reqwest::get(url).await.unwrap().text().await.unwrap();
        let size = text.lines().nth(1).and_then(|size| size.parse::<u64>().ok());
        fs::write(old.path("checkpoint"), &text).unwrap();
        size.is_some_and(|size| size >= head)
    })
    .await;
    let position = (first + 3).to_string();
    fs::write(old.path("proof"), old.run(&["audit", "prove", &position])).unwrap();
    old.run(&["events", "export", "--output", &old.path("before")]);
    let whole_size = size(&old);

    // A dry run comes first. Nothing too young is dropped, and a file of another export is refused.
    let expected = SESSIONS as u64 * 3 + 2;
    let would = old.run(&["events", "drop", "--dry-run", "--ended-before", BEFORE]);
    assert!(would.contains(&format!("payloads of {expected} events")), "{would}");
    let young = Timestamp::from_micros(runtime_now() - 7 * 24 * 60 * 60 * 1_000_000).to_string();
    let (code, said) = old.system.outcome(&["events", "drop", "--dry-run", "--ended-before", &young]);
    assert!(code != 0 && said.contains("8 days ago"), "{said}");
    let (code, said) = old.system.outcome(&old.drop("before").iter().map(String::as_str).collect::<Vec<_>>());
    assert!(code != 0 && said.contains("is still needed"), "{said}");
    assert_eq!(old.dropped().await, 0);

    // After a kill in the middle every dropped payload is in the file, and all queries are answered as before.
    old.kill_in_the_middle("dropped").await;
    let some = old.dropped().await;
    assert!(some < expected, "{some}");
    let exported = lines(&old.path("dropped"));
    assert_eq!(exported.last().unwrap()["end"]["events"], expected);
    assert_eq!(exported.len() as u64, expected + 1);
    assert!(exported[..exported.len() - 1].iter().all(|line| line["data"].is_string()));
    old.run(&["projection", "rebuild", "--yes"]);
    old.system.read_models_equal_the_log().await;
    let report = old.verify(&["--dropped", &old.path("dropped")]);
    assert_eq!(
        (&report["holds"], &report["dropped"], &report["dropped_and_shown"]),
        (&json!(true), &json!(some), &json!(some)),
        "{report}"
    );

    let root = exported.last().unwrap()["end"]["root"].as_str().unwrap();
    let begun = old.run(&["audit", "log", "--type", "operation.started"]);
    let what = format!("{expected} payloads in an export with the root {root}");
    assert!(begun.contains(&what), "{begun}");

    // The next run continues. It leaves out streams with parked events and says so.
    let parked = "INSERT INTO parked_events (position, stream, version, type, subject, reason, attempts)
        VALUES ($1, $2, 1, 'session.started', $3, 'by hand', 1)";
    let next = "SELECT position, stream FROM events WHERE data_sha256 IS NULL AND position > $1 ORDER BY position LIMIT 1";
    // The events of the purged task come first.
    let next = old.database.fetch_optional(next, &[(first + 2).into()]).await;
    let next = next.unwrap().unwrap();
    let (parked_at, stream) = (next.unsigned("position").unwrap(), next.text("stream").unwrap());
    let read_models = old.system.read_models().await;
    let values = [parked_at.into(), stream.into(), me.0.into()];
    read_models.execute(parked, &values).await.unwrap();
    let said = old.run_drop("dropped");
    let gone = expected - some - 3;
    assert!(
        said.contains("LEFT OUT: 3 payloads of streams with events that are parked")
            && said.contains(&format!("dropped {gone} payloads of {expected} "))
            && said.contains(&format!("; {some} had been dropped before")),
        "{said}"
    );
    let unpark = "DELETE FROM parked_events WHERE position = $1";
    read_models.execute(unpark, &[parked_at.into()]).await.unwrap();

    // This run finishes the work.
    let said = old.run_drop("dropped");
    assert!(said.contains("dropped 3 payloads") && !said.contains("LEFT OUT"), "{said}");
    assert_eq!(deployment == Deployment::Embedded, said.contains("as large as before"), "{said}");
    assert_eq!(old.dropped().await, expected);
    let said = old.run_drop("dropped");
    assert!(said.contains("dropped 0 payloads"), "{said}");
    let earlier = ["events", "drop", "--ended-before", "2001-01-01T00:00:00Z", "--export"];
    let (code, said) = old.system.outcome(&[&earlier[..], &[&old.path("dropped")]].concat());
    assert!(code != 0 && said.contains("a run with a later --ended-before"), "{said}");
    let said = old.run_drop("nothing");
    assert!(said.contains("nothing has ended by then"), "{said}");
    assert!(!Path::new(&old.path("nothing")).exists());
    old.system.read_models_equal_the_log().await;
    let rebuilt = old.run(&["projection", "rebuild", "--yes", "--verify"]);
    assert!(rebuilt.contains("are in use"), "{rebuilt}");
    old.system.read_models_equal_the_log().await;

    nothing_of_it_is_in_use(&old, &mut ada, purged, &kept, &since).await;
    everything_is_proved(&old, &position, expected, &sessions).await;

    if deployment == Deployment::Embedded {
        let dropped_size = size(&old);
        old.system.terminate(Role::Up);
        // A reader still has the file open, so it cannot be compacted, but the payloads are dropped.
        let mut reader = sqlx::SqliteConnection::connect(&old.system.store_url()).await.unwrap();
        let read = "BEGIN; SELECT COUNT(*) FROM events";
        sqlx::raw_sql(read).execute(&mut reader).await.unwrap();
        let said = old.run_drop("dropped");
        assert!(said.contains("as large as before"), "{said}");
        reader.close().await.unwrap();
        assert!(!old.run_drop("dropped").contains("as large as before"));
        let made_smaller = size(&old);
        assert!(
            made_smaller + made_smaller / 4 < dropped_size.max(whole_size),
            "{whole_size} {dropped_size} {made_smaller}"
        );
        let bytes = fs::read(old.system.data_dir().join("events.db")).unwrap();
        assert!(!bytes.windows(16).any(|bytes| bytes == b"old-refresh-hash"));
    }
    old.system.clean().await;
}

fn runtime_now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.unwrap().as_micros()).unwrap()
}

/// The size of the log's file, or 0 if it has none.
fn size(old: &Old) -> u64 {
    let file: PathBuf = old.system.data_dir().join("events.db");
    fs::metadata(file).map_or(0, |file| file.len())
}

/// Checks that queries are answered as before, except those about the old sessions.
async fn nothing_of_it_is_in_use(old: &Old, ada: &mut Person, purged: TaskId, kept: &Value, since: &Value) {
    ada.log_in().await;
    for path in ["", "/history"] {
        ada.get(&format!("/tasks/{purged}{path}")).await.expect(404);
    }
    for command in ["restore", "complete"] {
        let path = format!("/tasks/{purged}/{command}");
        ada.post(&path, json!({})).await.expect(404);
    }
    let since = since.as_str().unwrap();
    let changes = ada.get(&format!("/tasks/changes?since={since}")).await.expect(200).body;
    assert_eq!(changes["deleted"], json!([purged]), "{changes}");
    let done = format!("/tasks/{}/complete", kept["id"].as_str().unwrap());
    ada.post(&done, json!({})).await.expect(200);
    let trail = ada.get("/audit/events?type=task.purged").await.expect(200).body;
    assert_eq!(trail["items"][0]["stream"], format!("task-{purged}"), "{trail}");
    let trail = ada.get("/audit/events?type=task.created&limit=1").await.expect(200).body;
    assert_eq!(trail["items"].as_array().unwrap().len(), 1, "{trail}");

    let log = old.run(&["audit", "log", "--type", "operation.finished"]);
    assert!(log.contains("that are in an export with the root"), "{log}");
    let started = old.run(&["audit", "log", "--type", "operation.started"]);
    assert!(started.contains("events drop --ended-before 2025-06-01"), "{started}");
    let show = old.run(&["events", "show", &format!("task-{purged}")]);
    assert_eq!(show.matches("dropped from the log").count(), 2, "{show}");
    let stats = old.run(&["events", "stats"]);
    assert!(stats.contains("were dropped"), "{stats}");
}

/// Checks that old checkpoints and proofs are valid, that the log and the file together are complete, and that a
/// change of any kept hash is found.
async fn everything_is_proved(old: &Old, position: &str, expected: u64, sessions: &[StreamName]) {
    let report = old.verify(&[]);
    assert_eq!(
        (&report["holds"], &report["dropped"], &report["dropped_and_shown"]),
        (&json!(true), &json!(expected), &json!(0)),
        "{report}"
    );
    let shown = ["--dropped", &old.path("dropped")];
    assert_eq!(old.verify(&shown)["dropped_and_shown"], expected);

    old.run(&["events", "export", "--output", &old.path("after")]);
    let after = old.path("after");
    let report = old.verify(&[&["--export", &after][..], &shown].concat());
    assert_eq!(
        (&report["holds"], &report["dropped"], &report["dropped_and_shown"]),
        (&json!(true), &json!(expected), &json!(expected)),
        "{report}"
    );
    let (before, after) = (lines(&old.path("before")), lines(&after));
    for (before, after) in before.iter().zip(&after).take_while(|(line, _)| line["end"].is_null()) {
        assert_eq!(before["event"], after["event"]);
        assert_eq!(before["metadata"], after["metadata"]);
    }
    let text = fs::read_to_string(old.path("after")).unwrap();
    assert!(!text.contains("old-refresh-hash"));

    // A proof from before is valid with the earlier line and with what is left of it, and so is a new proof.
    fs::write(old.path("again"), old.run(&["audit", "prove", position])).unwrap();
    let number: usize = position.parse().unwrap();
    for (lines, word) in [(&before, ""), (&after, "dropped: its payload")] {
        fs::write(old.path("line"), lines[number - 1].to_string()).unwrap();
        for proof in ["proof", "again"] {
            let (proof, line) = (old.path(proof), old.path("line"));
            let checked = ["audit", "check-proof", &proof, "--event", &line, "--key", &old.key];
            let said = old.run(&checked);
            assert!(said.contains("has this event") && said.contains(word), "{said}");
        }
    }

    // A changed hash is found, and so is a wrong payload that is put back.
    let stream = sessions[0].as_str();
    let of_stream = format!("WHERE stream = '{stream}' AND version = 2");
    let hash = format!("SELECT position, data_sha256 FROM events {of_stream}");
    let row = old.database.fetch_optional(&hash, &[]).await.unwrap().unwrap();
    let (position, hash) = (row.integer("position").unwrap(), row.bytes("data_sha256").unwrap());
    let mut other = hash.clone();
    other[31] ^= 1;
    let change = format!("UPDATE events SET data_sha256 = $1 {of_stream}");
    for (hash, holds) in [(other, false), (hash, true)] {
        old.database.execute(&change, &[hash.into()]).await.unwrap();
        let report = old.verify(&[]);
        assert_eq!(report["holds"], holds, "{report}");
        if !holds {
            assert_eq!(report["first_difference"], position, "{report}");
        }
    }
    nothing_else_passes_for_dropped(old).await;
}

/// Checks that an emptied payload of a stream that has not ended is found, even if its hash is kept as for a dropped
/// one.
async fn nothing_else_passes_for_dropped(old: &Old) {
    let open = "SELECT position, data FROM events WHERE type = 'task.created' AND data_sha256 IS NULL";
    let row = old.database.fetch_optional(open, &[]).await.unwrap().unwrap();
    let (position, data) = (row.integer("position").unwrap(), row.bytes("data").unwrap());
    let hash = events::sha256_bytes(&data).to_vec();
    let change = "UPDATE events SET data = $1, data_sha256 = $2 WHERE position = $3";
    let emptied = [Vec::new().into(), hash.into(), position.into()];
    old.database.execute(change, &emptied).await.unwrap();
    let report = old.verify(&[]);
    assert_eq!(
        (&report["holds"], &report["first_difference"]),
        (&json!(false), &json!(position)),
        "{report}"
    );
    let put_back = "UPDATE events SET data = $1, data_sha256 = NULL WHERE position = $2";
    let filled = [data.into(), position.into()];
    old.database.execute(put_back, &filled).await.unwrap();
    assert_eq!(old.verify(&[])["holds"], true);
}
