//! Payloads that were dropped, and payloads that were deleted and only look dropped.

use audit_tree::{KeptRecords, Verification};
use events::{DropCommand, ExportedPayloads, OperationStarted, StoredEvent, Timestamp, UserId};
use transparency_log::entry_hash;

use crate::fixture::{Fixture, RECORDED_AT, on_both};

on_both!(
    a_dropped_payload_is_covered_by_the_hash_that_was_kept
    only_what_could_be_dropped_counts_as_dropped
    only_what_is_recorded_counts_as_dropped
);

fn id() -> UserId {
    UserId(runtime::new_id())
}

impl Fixture {
    async fn put(&self, stream: &str, version: u64, subject: UserId, kinds: &[&str]) {
        self.put_at(stream, version, subject, RECORDED_AT, kinds).await;
    }

    async fn put_at(
        &self,
        stream: &str,
        version: u64,
        subject: UserId,
        recorded_at: Timestamp,
        kinds: &[&str],
    ) {
        let events: Vec<_> = kinds.iter().map(|kind| (*kind, "{}".to_owned())).collect();
        self.append_events(stream, version, subject, recorded_at, &events).await;
    }

    /// Records a command that drops `payloads` payloads of streams that ended up to a second after [`RECORDED_AT`].
    async fn record_drop(&self, payloads: u64, root: &str) {
        let command = DropCommand {
            ended_before: RECORDED_AT.plus_seconds(1),
            exported: Some(ExportedPayloads { payloads, root: root.to_owned() }),
        };
        let started =
            OperationStarted { command: command.to_string().into(), by: "grace".into(), reason: None };
        let data = serde_json::to_string(&started).unwrap();
        let stream = format!("operation-{}", id());
        let later = RECORDED_AT.plus_seconds(30 * 24 * 60 * 60);
        self.append_events(&stream, 0, UserId::NOBODY, later, &[("operation.started", data)]).await;
    }

    async fn events(&self) -> Vec<StoredEvent> {
        self.store.stored_page(0, 1_000).await.unwrap().events
    }

    /// A hash, and no bytes, in SQL.
    fn hash_and_nothing(&self, hash: &str) -> (String, &'static str) {
        match self.log.is_postgres() {
            true => (format!("decode('{hash}', 'hex')"), "''"),
            false => (format!("x'{hash}'"), "x''"),
        }
    }

    /// Empties the payloads at these positions in the database, and keeps their hashes.
    async fn empty(&self, positions: &[usize]) {
        let events = self.events().await;
        for position in positions {
            let (hash, nothing) = self.hash_and_nothing(&events[position - 1].data.sha256());
            self.in_log(&format!(
                "UPDATE events SET data = {nothing}, data_sha256 = {hash} WHERE position = {position}"
            ))
            .await;
        }
    }

    /// Puts these payloads back.
    async fn fill(&self, events: &[StoredEvent]) {
        for event in events {
            let text = String::from_utf8(event.data.whole().unwrap().to_vec()).unwrap();
            let data = self.empty_payload().replace("{}", &text);
            self.in_log(&format!(
                "UPDATE events SET data = {data}, data_sha256 = NULL WHERE position = {}",
                event.position
            ))
            .await;
        }
    }

    async fn verify_emptied(&self, positions: &[usize]) -> Verification {
        let events = self.events().await;
        self.empty(positions).await;
        let report = self.verify(&[]).await;
        assert_eq!(report.dropped, positions.len() as u64);
        self.fill(&events).await;
        assert_eq!(self.verify(&[]).await.differences, [""; 0]);
        report
    }
}

async fn a_dropped_payload_is_covered_by_the_hash_that_was_kept(fixture: Fixture) {
    let mut version = 0;
    for count in [1, 297, 298] {
        fixture.append("task-1", version, count).await;
        version += count as u64;
        fixture.put(&format!("session-{}", id()), 0, id(), &["session.ended"]).await;
    }
    fixture.record_drop(3, "r").await;
    fixture.keep().await.unwrap();
    let checkpoint = fixture.checkpoint().await;
    let events = fixture.events().await;
    let dropped: Vec<_> = [2, 300, 599].map(|position| events[position - 1].digest()).into();
    assert_eq!(fixture.store.drop_payloads(&dropped).await.unwrap(), 3);

    let report = fixture.verify(std::slice::from_ref(&checkpoint)).await;
    assert_eq!((report.differences, report.dropped, report.shown), (vec![], 3, 0));
    let kept = |entries: &[usize]| KeptRecords {
        entries: entries.iter().map(|position| entry_hash(&events[position - 1].canonical())).collect(),
        checkpoints: vec![checkpoint.clone()],
        ..KeptRecords::default()
    };
    let report = fixture.verify_with(kept(&[1, 2, 300])).await;
    assert_eq!((report.differences, report.dropped, report.shown), (vec![], 3, 2));

    // The tree continues to grow, also one that is computed again.
    fixture.append("task-1", version, 1).await;
    fixture.keep().await.unwrap();
    assert_eq!(fixture.verify(std::slice::from_ref(&checkpoint)).await.differences, [""; 0]);
    fixture.in_tree("DELETE FROM tree_tiles").await;
    fixture.in_tree("DELETE FROM tree_checkpoints").await;
    fixture.in_tree("DELETE FROM trees").await;
    std::fs::remove_dir_all(&fixture.keys).unwrap();
    fixture.keep().await.unwrap();
    let tree = fixture.newest().await;
    let root = fixture.tree.root_at(&tree, checkpoint.size).await.unwrap();
    assert_eq!(root, checkpoint.root);

    // Neither the hash that was kept nor a payload in its place can be another.
    let (hash, nothing) = fixture.hash_and_nothing(&dropped[1].data_sha256.to_uppercase());
    let other = fixture.empty_payload().replace("{}", "{ }");
    for change in [
        "data_sha256 = data".to_owned(),
        "data_sha256 = NULL".to_owned(),
        format!("data = {other}"),
        "type = 'task.created'".to_owned(),
    ] {
        fixture.in_log(&format!("UPDATE events SET {change} WHERE position = 300")).await;
        assert_eq!(fixture.verify(&[]).await.first_difference, Some(300), "{change}");
        let repair = format!("type = 'session.ended', data = {nothing}");
        fixture
            .in_log(&format!("UPDATE events SET {repair}, data_sha256 = {hash} WHERE position = 300"))
            .await;
        assert_eq!(fixture.verify(&[]).await.differences, [""; 0], "{change}");
    }
}

async fn only_what_could_be_dropped_counts_as_dropped(fixture: Fixture) {
    let (ada, erased) = (id(), id());
    let stream = |kind: &str| format!("{kind}-{}", id());
    let (account, session, gone) = (format!("account-{ada}"), stream("session"), format!("account-{erased}"));
    fixture.put(&account, 0, ada, &["account.registered"]).await;
    fixture.put("email-ab", 0, ada, &["email.claimed"]).await;
    fixture.put("admins", 0, ada, &["admins.added"]).await;
    let renamed = ["task.created", "task.renamed"];
    fixture.put(&stream("task"), 0, ada, &renamed).await;
    let purged = ["task.created", "task.renamed", "task.purged"];
    fixture.put(&stream("task"), 0, ada, &purged).await;
    let refreshed = ["session.started", "session.refreshed"];
    fixture.put(&session, 0, ada, &refreshed).await;
    let ended = ["session.started", "session.ended"];
    fixture.put(&stream("session"), 0, ada, &ended).await;
    fixture.put(&gone, 0, erased, &["account.registered"]).await;
    fixture.put(&stream("task"), 0, erased, &["task.created"]).await;
    fixture.put(&gone, 1, erased, &["account.erased"]).await;
    fixture.put("of-a-later-release", 0, ada, &["something"]).await;
    let young = RECORDED_AT.plus_seconds(7);
    fixture.put_at(&stream("session"), 0, ada, young, &ended).await;
    fixture.record_drop(100, "r").await;
    fixture.keep().await.unwrap();

    // Streams that have ended: a purged task without its purge, sessions, and the streams of an erased person without
    // the erasure.
    for right in [&[6, 7][..], &[7], &[11, 12], &[9, 10], &[10], &[13, 14], &[14]] {
        let report = fixture.verify_emptied(right).await;
        assert_eq!(report.differences, [""; 0], "{right:?}");
        assert_eq!(report.first_difference, None, "{right:?}");
    }
    for (wrong, first) in [
        (&[1][..], 1),
        (&[2], 2),
        (&[3], 3),
        // A whole task that has not ended, and parts of it.
        (&[4, 5], 4),
        (&[4], 4),
        (&[5], 5),
        // A purged task without its purge, or with something readable before it.
        (&[8], 8),
        (&[6], 6),
        // A readable event follows in the session.
        (&[9], 9),
        (&[11], 11),
        (&[15], 15),
        (&[16], 16),
        // Too young for the command.
        (&[17, 18], 18),
        (&[19], 19),
        (&[6, 7, 5], 5),
    ] {
        let report = fixture.verify_emptied(wrong).await;
        assert_eq!(report.first_difference, Some(first), "{wrong:?} {:?}", report.differences);
        assert!(
            report.differences[0].contains(&format!("at position {first} is missing")),
            "{:?}",
            report.differences
        );
    }
}

async fn only_what_is_recorded_counts_as_dropped(fixture: Fixture) {
    let ended = ["session.started", "session.refreshed", "session.ended"];
    fixture.put(&format!("session-{}", id()), 0, id(), &ended).await;
    fixture.keep().await.unwrap();
    let report = fixture.verify_emptied(&[1, 2, 3]).await;
    assert_eq!(report.first_difference, Some(3), "{:?}", report.differences);
    assert!(report.differences[0].contains("no `events drop` is recorded"), "{report:?}");

    // A command that was given again with the same file had the same to drop.
    for _ in 0..2 {
        fixture.record_drop(2, "r").await;
    }
    fixture.keep().await.unwrap();
    assert_eq!(fixture.verify_emptied(&[2, 3]).await.differences, [""; 0]);
    let report = fixture.verify_emptied(&[1, 2, 3]).await;
    assert_eq!(
        report.differences,
        ["3 payloads are missing, and the `events drop` that are recorded had only 2 to drop"]
    );
    fixture.record_drop(1, "s").await;
    fixture.keep().await.unwrap();
    assert_eq!(fixture.verify_emptied(&[1, 2, 3]).await.differences, [""; 0]);
}
