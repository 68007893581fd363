//! The tree over a real log, on both databases: it grows, it proves, it refuses to contradict itself, and nothing that is
//! changed in the database behind its back stays unnoticed.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use audit_tree::{
    AuditTree, CheckpointSigner, CheckpointSignerMetrics, Disagreement, KeepError, Kept, LastSigned,
    SigningKeys, Tree, Verification, disagreement, renew_origin, verify,
};
use database::{Database, Schema};
use event_store::{EventStore, SqlStore};
use events::{Actor, Encoding, EventId, Metadata, NewEvent, StreamName, Timestamp, UserId};
use runtime::Metrics;
use test_support::{TestClock, TestDatabase};
use transparency_log::{Algorithm, Checkpoint, VerifierKey, entry_hash, leaf_hash, verify_consistency};

/// A log, its tree and the directory of its keys.
struct Ground {
    log: Database,
    store: Arc<dyn EventStore>,
    tree_database: Database,
    tree: AuditTree,
    keys: PathBuf,
    directory: tempfile::TempDir,
    _server: Option<TestDatabase>,
}

impl Ground {
    async fn on_sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = |name: &str| Database::file_url(&directory.path().join(name));
        let log = Database::open(&url("events.db"), Schema::EventStore, 4)
            .await
            .unwrap();
        let tree = Database::open(&url("audit-tree.db"), Schema::AuditTree, 4)
            .await
            .unwrap();
        Self::over(log, tree, directory, None)
    }

    async fn on_postgres() -> Self {
        let server = TestDatabase::create().await;
        let url = server.url();
        let log = Database::open(url.as_str(), Schema::EventStore, 4).await.unwrap();
        let tree = Database::open(url.as_str(), Schema::AuditTree, 4).await.unwrap();
        Self::over(log, tree, tempfile::tempdir().unwrap(), Some(server))
    }

    fn over(
        log: Database,
        tree: Database,
        directory: tempfile::TempDir,
        server: Option<TestDatabase>,
    ) -> Self {
        Self {
            store: Arc::new(SqlStore::new(log.clone())),
            log,
            tree: AuditTree::new(tree.clone()),
            tree_database: tree,
            keys: directory.path().join("keys"),
            directory,
            _server: server,
        }
    }

    async fn append(&self, stream: &str, version: u64, count: usize) {
        let metadata = Metadata {
            subject: UserId(runtime::new_id()),
            actor: Actor::System,
            correlation_id: "request-1".into(),
            causation_id: runtime::new_id(),
            traceparent: None,
            idempotency_key: None,
        };
        let event = |number: usize| NewEvent {
            id: EventId(runtime::new_id()),
            kind: "task.renamed".to_owned(),
            schema_version: 1,
            encoding: Encoding::Json,
            data: format!("{{\"title\":\"{number}\"}}").into(),
            metadata: metadata.clone(),
            recorded_at: Timestamp::from_micros(1_780_000_000_000_000),
        };
        let events = (0..count).map(event).collect();
        self.store
            .append(&StreamName::raw(stream), version, events)
            .await
            .unwrap();
    }

    fn keeper(&self) -> CheckpointSigner {
        CheckpointSigner::new(
            self.tree.clone(),
            self.store.clone(),
            self.keys.clone(),
            "example.org/log".to_owned(),
            Arc::new(TestClock::running()),
            CheckpointSignerMetrics::new(&Metrics::new("projector")),
        )
    }

    async fn keep(&self) -> Result<(), KeepError> {
        let mut keeper = self.keeper();
        while keeper.step().await? {}
        Ok(())
    }

    async fn keys(&self) -> Vec<VerifierKey> {
        let origin = self.tree.newest().await.unwrap().unwrap().origin;
        let signers = SigningKeys::read(&self.keys)
            .unwrap()
            .signers(&origin, Algorithm::Ed25519)
            .unwrap();
        signers.iter().map(|signer| signer.verifier().clone()).collect()
    }

    async fn checkpoint(&self) -> Checkpoint {
        let tree = self.tree.newest().await.unwrap().unwrap();
        let signed = self.tree.last_checkpoint(&tree).await.unwrap().unwrap();
        Checkpoint::open(&signed.note, &self.keys().await).unwrap()
    }

    async fn verify(&self, checkpoints: &[Checkpoint]) -> Verification {
        self.verify_with(Kept {
            checkpoints: checkpoints.to_vec(),
            ..Kept::default()
        })
        .await
    }

    async fn verify_with(&self, kept: Kept) -> Verification {
        verify(&self.store, &self.tree, &self.keys().await, &[], &kept, |_, _| {})
            .await
            .unwrap()
    }

    async fn disagreement(&self) -> Option<Disagreement> {
        disagreement(&*self.store, &self.tree, Some(&self.keys))
            .await
            .unwrap()
    }

    /// The same log and tree, seen from a host with its own directory of keys, which are the same ones or none.
    fn another_host(&self, has_keys: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let keys = directory.path().join("keys");
        if has_keys {
            self.copy_keys_to(&keys);
        }
        Self {
            log: self.log.clone(),
            store: self.store.clone(),
            tree_database: self.tree_database.clone(),
            tree: self.tree.clone(),
            keys,
            directory,
            _server: None,
        }
    }

    fn copy_keys_to(&self, keys: &Path) {
        database::private::create_directory(keys).unwrap();
        for file in std::fs::read_dir(&self.keys).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "pem") {
                std::fs::copy(&path, keys.join(path.file_name().unwrap())).unwrap();
            }
        }
    }

    /// Log and tree go back together, as from one backup.
    async fn go_back_to(&self, tree: &Tree) {
        let (size, id) = (tree.size, tree.last.id.unwrap().0);
        self.in_log(&format!("DELETE FROM events WHERE position > {size}"))
            .await;
        self.in_tree(&format!("DELETE FROM tree_checkpoints WHERE size > {size}"))
            .await;
        self.in_tree(&format!(
            "UPDATE trees SET size = {size}, position = {size}, event_id = '{id}'"
        ))
        .await;
    }

    /// `{}` as a payload, in SQL.
    fn empty_payload(&self) -> &'static str {
        match self.log.is_postgres() {
            true => "'{}'",
            false => "CAST('{}' AS BLOB)",
        }
    }

    async fn in_log(&self, sql: &str) {
        assert!(self.log.execute(sql, &[]).await.unwrap() > 0, "{sql}");
    }

    async fn in_tree(&self, sql: &str) {
        assert!(self.tree_database.execute(sql, &[]).await.unwrap() > 0, "{sql}");
    }
}

macro_rules! on_both {
    ($($test:ident)+) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")] async fn $test() { super::$test(super::Ground::on_sqlite().await).await; })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")] async fn $test() { super::$test(super::Ground::on_postgres().await).await; })+
        }
    };
}

on_both!(
    every_event_is_proved
    a_tree_that_is_kept_by_several_grows_once
    a_log_that_lost_its_end_is_signed_under_a_new_name_only
    what_was_signed_is_remembered_outside_the_databases
    a_standby_remembers_what_others_have_signed
    only_keys_that_have_signed_a_tree_go_on_with_it
    a_tree_that_was_changed_is_not_signed
    every_change_of_the_log_is_found
    a_dropped_payload_is_covered_by_the_hash_that_was_kept
    what_stands_where_there_can_be_nothing_is_found
    changed_tiles_and_checkpoints_are_found
    a_tree_that_was_emptied_is_found_by_what_is_remembered
    a_log_that_was_rewritten_with_its_tree_is_found_by_a_checkpoint_that_was_kept
);

async fn every_event_is_proved(ground: Ground) {
    ground.keep().await.unwrap();
    let empty = ground.checkpoint().await;
    assert_eq!(empty.size, 0);
    ground.append("task-1", 0, 3).await;
    ground.keep().await.unwrap();
    let first = ground.checkpoint().await;
    assert_eq!((first.size, &first.origin), (3, &empty.origin));
    ground.append("task-2", 0, 600).await;
    ground.keep().await.unwrap();
    let second = ground.checkpoint().await;
    assert_eq!(second.size, 603);

    let tree = ground.tree.newest().await.unwrap().unwrap();
    let signed = ground.tree.last_checkpoint(&tree).await.unwrap().unwrap();
    let keys = ground.keys().await;
    for position in [1, 3, 4, 256, 257, 512, 513, 603] {
        let index = ground
            .tree
            .index_of(&tree, &*ground.store, position)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(index, position - 1);
        let proof = ground
            .tree
            .inclusion(&tree, index, &signed)
            .await
            .unwrap()
            .unwrap();
        let stored = ground
            .store
            .stored_page(position as i64 - 1, 1)
            .await
            .unwrap()
            .events
            .remove(0);
        let leaf = leaf_hash(&entry_hash(&stored.canonical()).0);
        proof.verify(leaf, &keys).unwrap();
    }
    for position in [0, 604, u64::MAX] {
        assert_eq!(
            ground
                .tree
                .index_of(&tree, &*ground.store, position)
                .await
                .unwrap(),
            None
        );
    }
    for (from, to) in [(&empty, &first), (&first, &second), (&second, &second)] {
        let proof = ground
            .tree
            .consistency(&tree, from.size, to.size)
            .await
            .unwrap()
            .unwrap();
        verify_consistency(from.size, &from.root, to.size, &to.root, &proof).unwrap();
    }
    let report = ground.verify(&[first, second]).await;
    assert_eq!((report.events, report.size, report.checkpoints), (603, 603, 3));
    assert_eq!(report.differences, [""; 0]);
}

async fn a_tree_that_is_kept_by_several_grows_once(ground: Ground) {
    ground.append("task-1", 0, 3_000).await;
    let (mut one, mut other) = (ground.keeper(), ground.keeper());
    while one.step().await.unwrap() {}
    other.step().await.unwrap();
    let overtaken =
        async |keeper: &mut CheckpointSigner| matches!(keeper.step().await, Err(KeepError::Overtaken));
    ground.append("task-2", 0, 10).await;
    one.step().await.unwrap();
    assert!(overtaken(&mut other).await, "the other has added these");
    ground.append("task-3", 0, 10).await;
    one.step().await.unwrap();
    assert!(overtaken(&mut other).await, "the other is still at work");
    // Once it stands still, this one goes on.
    ground.append("task-4", 0, 10).await;
    while other.step().await.unwrap() {}
    assert!(overtaken(&mut one).await);
    let report = ground.verify(&[]).await;
    assert_eq!((report.events, report.size), (3_030, 3_030));
    assert_eq!(report.differences, [""; 0]);
}

async fn a_log_that_lost_its_end_is_signed_under_a_new_name_only(ground: Ground) {
    ground.append("task-1", 0, 300).await;
    ground.keep().await.unwrap();
    let before = ground.checkpoint().await;
    assert_eq!(ground.disagreement().await, None);
    ground.in_log("DELETE FROM events WHERE position > 200").await;
    assert!(matches!(ground.keep().await, Err(KeepError::LostEnd)));
    ground.append("task-2", 0, 200).await;
    assert!(
        matches!(ground.keep().await, Err(KeepError::LostEnd)),
        "longer than before, and another"
    );
    assert_eq!(ground.checkpoint().await, before, "nothing was signed");
    let disagreement = ground.disagreement().await.unwrap();
    assert_eq!(disagreement.origin, before.origin);

    let origin = renew_origin(&ground.tree).await.unwrap().unwrap();
    assert_ne!(origin, before.origin);
    assert!(origin.starts_with("example.org/log/"));
    ground.keep().await.unwrap();
    let after = ground.checkpoint().await;
    assert_eq!((after.origin, after.size), (origin, 400));
    assert_eq!(ground.disagreement().await, None);
    assert_eq!(ground.verify(&[]).await.differences, [""; 0]);
    let kept = ground.verify(&[before]).await;
    assert_eq!(
        kept.differences.len(),
        1,
        "an auditor of the old log is told: {kept:?}"
    );
}

async fn what_was_signed_is_remembered_outside_the_databases(ground: Ground) {
    ground.append("task-1", 0, 10).await;
    ground.keep().await.unwrap();
    let old_tree = ground.tree.newest().await.unwrap().unwrap();
    ground.append("task-1", 10, 10).await;
    ground.keep().await.unwrap();
    // The log goes on in another way.
    ground.go_back_to(&old_tree).await;
    assert!(matches!(ground.keep().await, Err(KeepError::LostEnd)));
    assert!(ground.disagreement().await.is_some());
    ground.append("task-2", 0, 15).await;
    let refused = ground.keep().await;
    assert!(
        matches!(refused, Err(KeepError::Forked { size: 20 })),
        "{refused:?}"
    );
    assert_eq!(ground.checkpoint().await.size, 10, "nothing was signed");
    assert!(ground.disagreement().await.is_some());
    renew_origin(&ground.tree).await.unwrap();
    ground.keep().await.unwrap();
    assert_eq!(ground.checkpoint().await.size, 25);
}

async fn a_standby_remembers_what_others_have_signed(ground: Ground) {
    ground.append("task-1", 0, 19).await;
    let mut active = ground.keeper();
    while active.step().await.unwrap() {}
    let dumped = ground.tree.newest().await.unwrap().unwrap();
    let standby = ground.another_host(true);
    let mut waiting = standby.keeper();
    assert!(!waiting.step().await.unwrap());
    ground.append("task-1", 19, 5).await;
    while active.step().await.unwrap() {}
    let signed = ground.checkpoint().await;
    assert_eq!(signed.size, 24);
    for _ in 0..3 {
        let _ = waiting.step().await;
    }
    let remembered = LastSigned::new(&standby.keys).checkpoint(&signed.origin).unwrap();
    assert_eq!(remembered, Some(signed));

    // All databases go back to what was dumped, and only the standby is started again.
    ground.go_back_to(&dumped).await;
    assert!(standby.disagreement().await.is_some());
    assert!(matches!(standby.keep().await, Err(KeepError::LostEnd)));
    ground.append("task-2", 0, 7).await;
    assert!(
        standby.disagreement().await.is_some(),
        "the log is longer than what was signed, and another, and the tree has not grown"
    );
    let refused = standby.keep().await;
    assert!(
        matches!(refused, Err(KeepError::Forked { size: 24 })),
        "{refused:?}"
    );
    assert_eq!(ground.checkpoint().await.size, 19, "nothing was signed");
}

async fn only_keys_that_have_signed_a_tree_go_on_with_it(ground: Ground) {
    ground.append("task-1", 0, 5).await;
    let mut active = ground.keeper();
    while active.step().await.unwrap() {}
    let signed = ground.checkpoint().await;

    // A host that has no keys, and then others.
    let other = ground.another_host(false);
    ground.append("task-1", 5, 5).await;
    for _ in 0..2 {
        let refused = other.keep().await;
        assert!(
            matches!(refused, Err(KeepError::StrangeKeys { .. })),
            "{refused:?}"
        );
        assert_eq!(ground.checkpoint().await, signed, "nothing was signed");
        let remembered = LastSigned::new(&other.keys).checkpoint(&signed.origin).unwrap();
        assert_eq!(remembered, None, "what was signed by others is not believed");
        if SigningKeys::read(&other.keys)
            .unwrap()
            .signers("x", Algorithm::Ed25519)
            .unwrap()
            .is_empty()
        {
            assert_eq!(other.disagreement().await, None, "it only signs nothing");
            SigningKeys::add(&other.keys).unwrap();
        }
    }
    assert!(other.disagreement().await.is_some());
    // Those that have signed it, beside its own.
    ground.copy_keys_to(&other.keys);
    other.keep().await.unwrap();
    assert_eq!(ground.checkpoint().await.size, 10);
    assert_eq!(other.disagreement().await, None);

    // Who is at work notices it, too.
    let mut active = ground.keeper();
    while active.step().await.unwrap() {}
    let strange = ground.another_host(false);
    let strange = SigningKeys::open(&strange.keys)
        .unwrap()
        .signers(&signed.origin, Algorithm::Ed25519)
        .unwrap();
    let note = ground.checkpoint().await.sign(&strange).to_string();
    ground
        .in_tree(&format!(
            "UPDATE tree_checkpoints SET note = '{note}' WHERE size = 10"
        ))
        .await;
    ground.append("task-1", 10, 5).await;
    let refused = active.step().await;
    assert!(
        matches!(refused, Err(KeepError::StrangeKeys { .. })),
        "{refused:?}"
    );
}

async fn a_tree_that_was_changed_is_not_signed(ground: Ground) {
    ground.append("task-1", 0, 300).await;
    ground.keep().await.unwrap();
    let copy =
        "UPDATE tree_tiles SET hashes = (SELECT hashes FROM tree_tiles WHERE level = -1 AND number = 0)
        WHERE level = 0 AND number = 0";
    ground.in_tree(copy).await;
    ground.in_tree("DELETE FROM tree_tiles WHERE level = 1").await;
    ground.append("task-1", 300, 1).await;
    let refused = ground.keep().await;
    assert!(matches!(refused, Err(KeepError::Damaged(_))), "{refused:?}");
    assert_eq!(ground.checkpoint().await.size, 300);
}

/// A random number below `end`, from 1.
fn any_below(end: i64) -> i64 {
    1 + i64::from_be_bytes(runtime::random_bytes()).rem_euclid(end - 1)
}

async fn every_change_of_the_log_is_found(ground: Ground) {
    const EVENTS: i64 = 700;
    ground.append("task-1", 0, EVENTS as usize).await;
    ground.keep().await.unwrap();
    assert_eq!(ground.verify(&[]).await.differences, [""; 0]);
    ground.in_tree("UPDATE trees SET size = size").await;
    let copy = "CREATE TABLE kept AS SELECT * FROM events";
    ground.log.execute(copy, &[]).await.unwrap();
    for number in 0..12 {
        let at = any_below(EVENTS - 1);
        let changes: Vec<String> = match number {
            0 => vec![format!("UPDATE events SET data = {} WHERE position = {at}", ground.empty_payload())],
            1 => vec![format!("UPDATE events SET metadata = replace(metadata, ',', ', ') WHERE position = {at}")],
            2 => vec![format!("UPDATE events SET type = 'task.deleted' WHERE position = {at}")],
            3 => vec![format!("UPDATE events SET recorded_at = recorded_at + 1 WHERE position = {at}")],
            4 => vec![format!("UPDATE events SET schema_version = 2 WHERE position = {at}")],
            5 => vec![format!("UPDATE events SET encoding = 'jso' WHERE position = {at}")],
            6 => vec![format!("UPDATE events SET stream = 'task-2' WHERE position = {at}")],
            7 => vec![format!("UPDATE events SET version = 100000 WHERE position = {at}")],
            8 => vec![format!(
                "UPDATE events SET id = (SELECT id FROM kept WHERE position = {EVENTS}) WHERE position = {at}"
            )],
            9 => vec![format!("DELETE FROM events WHERE position = {at}")],
            // Two neighbours change places.
            10 => vec![
                format!("UPDATE events SET position = 1000000 WHERE position = {at}"),
                format!("UPDATE events SET position = {at} WHERE position = {at} + 1"),
                format!("UPDATE events SET position = {at} + 1 WHERE position = 1000000"),
            ],
            // One is inserted, and the later ones make room.
            _ => vec![
                format!("UPDATE events SET position = position + 1000000 WHERE position >= {at}"),
                "UPDATE events SET position = position - 999999 WHERE position > 1000000".to_owned(),
                format!(
                    "INSERT INTO events SELECT {at}, 1, recorded_at, schema_version, id, 'task-3', type, encoding, metadata,
                     data, data_sha256 FROM kept WHERE position = {at}"
                ),
            ],
        };
        for change in &changes {
            ground.in_log(change).await;
        }
        let report = ground.verify(&[]).await;
        assert_eq!(
            report.first_difference,
            Some(at),
            "{changes:?}: {:?}",
            report.differences
        );
        assert!(!report.differences.is_empty());
        ground.in_log("DELETE FROM events").await;
        ground.in_log("INSERT INTO events SELECT * FROM kept").await;
    }
    assert_eq!(
        ground.verify(&[]).await.differences,
        [""; 0],
        "what was put back is the same again"
    );
}

async fn a_dropped_payload_is_covered_by_the_hash_that_was_kept(ground: Ground) {
    ground.append("task-1", 0, 600).await;
    ground.keep().await.unwrap();
    let checkpoint = ground.checkpoint().await;
    let events = ground.store.stored_page(0, 1_000).await.unwrap().events;
    let dropped: Vec<_> = [2, 300, 599].map(|position| events[position - 1].digest()).into();
    assert_eq!(ground.store.drop_payloads(&dropped).await.unwrap(), 3);

    let report = ground.verify(std::slice::from_ref(&checkpoint)).await;
    assert_eq!((report.differences, report.dropped, report.shown), (vec![], 3, 0));
    let kept = |entries: &[usize]| Kept {
        entries: entries
            .iter()
            .map(|position| entry_hash(&events[position - 1].canonical()))
            .collect(),
        checkpoints: vec![checkpoint.clone()],
        remembered: None,
    };
    let report = ground.verify_with(kept(&[1, 2, 300])).await;
    assert_eq!((report.differences, report.dropped, report.shown), (vec![], 3, 2));

    // The tree grows on, also one that is made again of what is there.
    ground.append("task-1", 600, 1).await;
    ground.keep().await.unwrap();
    assert_eq!(
        ground.verify(std::slice::from_ref(&checkpoint)).await.differences,
        [""; 0]
    );
    ground.in_tree("DELETE FROM tree_tiles").await;
    ground.in_tree("DELETE FROM tree_checkpoints").await;
    ground.in_tree("DELETE FROM trees").await;
    std::fs::remove_dir_all(&ground.keys).unwrap();
    ground.keep().await.unwrap();
    let tree = ground.tree.newest().await.unwrap().unwrap();
    let root = ground.tree.root_at(&tree, checkpoint.size).await.unwrap();
    assert_eq!(root, checkpoint.root);

    // Neither the hash that was kept nor a payload in its place can be another.
    let hash = dropped[1].data_sha256.to_uppercase();
    let (hash, nothing) = match ground.log.is_postgres() {
        true => (format!("decode('{hash}', 'hex')"), "''"),
        false => (format!("x'{hash}'"), "x''"),
    };
    let other = ground.empty_payload();
    for change in [
        "data_sha256 = data".to_owned(),
        "data_sha256 = NULL".to_owned(),
        format!("data = {other}"),
        "type = 'task.created'".to_owned(),
    ] {
        ground
            .in_log(&format!("UPDATE events SET {change} WHERE position = 300"))
            .await;
        assert_eq!(ground.verify(&[]).await.first_difference, Some(300), "{change}");
        let repair = format!("type = 'task.renamed', data = {nothing}");
        ground
            .in_log(&format!(
                "UPDATE events SET {repair}, data_sha256 = {hash} WHERE position = 300"
            ))
            .await;
        assert_eq!(ground.verify(&[]).await.differences, [""; 0], "{change}");
    }
}

async fn what_stands_where_there_can_be_nothing_is_found(ground: Ground) {
    ground.append("task-1", 0, 20).await;
    ground.keep().await.unwrap();
    for at in [0, -7, 1_000_000] {
        ground
            .in_log(&format!(
                "INSERT INTO events SELECT {at}, 21, recorded_at, schema_version, id, stream, type, encoding, metadata, data, data_sha256
                 FROM events WHERE position = 20"
            ))
            .await;
        let report = ground.verify(&[]).await;
        assert_eq!(
            report.first_difference,
            Some(at.min(21)),
            "{:?}",
            report.differences
        );
        ground
            .in_log(&format!("DELETE FROM events WHERE position = {at}"))
            .await;
    }
    // The end is missing.
    ground.in_log("DELETE FROM events WHERE position > 18").await;
    let report = ground.verify(&[]).await;
    assert!(!report.differences.is_empty(), "{report:?}");
}

async fn changed_tiles_and_checkpoints_are_found(ground: Ground) {
    ground.append("task-1", 0, 300).await;
    ground.keep().await.unwrap();
    let other = "(SELECT hashes FROM tree_tiles WHERE level = 1 AND number = 0)";
    for level in [-1, 0] {
        let (kept, number) = (format!("kept{}", level + 1), 0);
        let place = format!("level = {level} AND number = {number}");
        let copy = format!("CREATE TABLE {kept} AS SELECT * FROM tree_tiles WHERE {place}");
        ground.tree_database.execute(&copy, &[]).await.unwrap();
        ground
            .in_tree(&format!("UPDATE tree_tiles SET hashes = {other} WHERE {place}"))
            .await;
        let report = ground.verify(&[]).await;
        assert_eq!(report.first_difference, Some(1));
        assert!(
            report.differences[0].contains("the tiles were changed"),
            "{:?}",
            report.differences
        );
        ground
            .in_tree(&format!(
                "UPDATE tree_tiles SET hashes = (SELECT hashes FROM {kept}) WHERE {place}"
            ))
            .await;
    }
    assert_eq!(ground.verify(&[]).await.differences, [""; 0]);
    let nothing = if ground.log.is_postgres() { "''" } else { "x''" };
    for hashes in [nothing, "(SELECT hashes FROM kept0)"] {
        ground
            .in_tree(&format!(
                "UPDATE tree_tiles SET hashes = {hashes} WHERE level = 1"
            ))
            .await;
        assert_upper_tile_differs(&ground.verify(&[]).await);
    }
    ground.in_tree("DELETE FROM tree_tiles WHERE level = 1").await;
    assert_upper_tile_differs(&ground.verify(&[]).await);
    ground
        .in_tree("UPDATE tree_checkpoints SET note = replace(note, '300', '299')")
        .await;
    let report = ground.verify(&[]).await;
    assert!(!report.differences.is_empty());
}

fn assert_upper_tile_differs(report: &Verification) {
    let said = report.differences.join("\n");
    assert!(said.contains("the tile 1/000.p/1 is not"), "{said}");
    assert_eq!(report.first_difference, None);
}

async fn a_tree_that_was_emptied_is_found_by_what_is_remembered(ground: Ground) {
    ground.append("task-1", 0, 30).await;
    ground.keep().await.unwrap();
    let remembered = ground.checkpoint().await;
    for table in ["tree_tiles", "tree_checkpoints"] {
        ground.in_tree(&format!("DELETE FROM {table}")).await;
    }
    ground
        .in_tree("UPDATE trees SET size = 0, position = 0, event_id = NULL")
        .await;
    let verify = async || {
        let remembered = Some(remembered.clone());
        let kept = Kept {
            remembered,
            ..Kept::default()
        };
        ground.verify_with(kept).await.differences.join("\n")
    };
    let said = verify().await;
    assert!(said.contains("and the tree has 0"), "{said}");
    assert!(!said.contains("the log is not"), "{said}");
    ground
        .in_log("UPDATE events SET recorded_at = recorded_at + 1 WHERE position = 7")
        .await;
    let said = verify().await;
    assert!(said.contains("the log is not the one"), "{said}");
}

async fn a_log_that_was_rewritten_with_its_tree_is_found_by_a_checkpoint_that_was_kept(ground: Ground) {
    ground.append("task-1", 0, 50).await;
    ground.keep().await.unwrap();
    let kept = ground.checkpoint().await;
    // Whoever can write to both databases and has the key makes everything again.
    ground
        .in_log(&format!(
            "UPDATE events SET data = {} WHERE position = 7",
            ground.empty_payload()
        ))
        .await;
    let origin = kept.origin.clone();
    for table in ["trees", "tree_tiles", "tree_checkpoints"] {
        ground.in_tree(&format!("DELETE FROM {table}")).await;
    }
    ground
        .in_tree(&format!(
            "INSERT INTO trees (id, origin, size, position) VALUES (1, '{origin}', 0, 0)"
        ))
        .await;
    let refused = ground.keep().await;
    assert!(
        matches!(refused, Err(KeepError::Forked { size: 50 })),
        "the directory of keys remembers: {refused:?}"
    );
    for file in std::fs::read_dir(&ground.keys).unwrap() {
        let path = file.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "checkpoint")
        {
            std::fs::remove_file(path).unwrap();
        }
    }
    ground.keep().await.unwrap();
    assert_eq!(
        ground.verify(&[]).await.differences,
        [""; 0],
        "nothing within shows it"
    );
    let report = ground.verify(&[kept]).await;
    assert_eq!(report.differences.len(), 1, "{report:?}");
    assert!(ground.directory.path().exists());
}
