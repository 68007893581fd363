//! A log, its tree and the directory of its keys, on either database.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use audit_tree::{
    AuditTree, CheckpointSigner, CheckpointSignerMetrics, Disagreement, KeepError, KeptRecords, SigningKeys,
    Tree, Verification, disagreement, verify,
};
use database::{Database, Schema};
use event_store::{EventStore, SqlStore};
use events::{NewEvent, StreamName, Timestamp, UserId};
use runtime::Metrics;
use test_support::{TestClock, TestDatabase};
use transparency_log::{Algorithm, Checkpoint, VerifierKey};

/// The recording time of events, unless a test sets another.
pub(crate) const RECORDED_AT: Timestamp = Timestamp::from_micros(1_780_000_000_000_000);

/// A log, its tree and the directory of its keys.
pub(crate) struct Fixture {
    pub(crate) log: Database,
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) tree_database: Database,
    pub(crate) tree: AuditTree,
    pub(crate) keys: PathBuf,
    pub(crate) directory: tempfile::TempDir,
    _server: Option<TestDatabase>,
}

impl Fixture {
    pub(crate) async fn on_sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = |name: &str| Database::file_url(&directory.path().join(name));
        let log = Database::open(&url("events.db"), Schema::EventStore, 4).await.unwrap();
        let tree = Database::open(&url("audit-tree.db"), Schema::AuditTree, 4).await.unwrap();
        Self::over(log, tree, directory, None)
    }

    pub(crate) async fn on_postgres() -> Self {
        let server = TestDatabase::create().await;
        let url = server.url();
        let log = Database::open(url.as_str(), Schema::EventStore, 4).await.unwrap();
        let tree = Database::open(url.as_str(), Schema::AuditTree, 4).await.unwrap();
        Self::over(log, tree, tempfile::tempdir().unwrap(), Some(server))
    }

    pub(crate) fn over(
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

    pub(crate) async fn append(&self, stream: &str, version: u64, count: usize) {
        let renamed = |number: usize| ("task.renamed", format!("{{\"title\":\"{number}\"}}"));
        let events: Vec<_> = (0..count).map(renamed).collect();
        self.append_events(stream, version, UserId(runtime::new_id()), RECORDED_AT, &events).await;
    }

    /// Appends events of these types with these payloads.
    pub(crate) async fn append_events(
        &self,
        stream: &str,
        version: u64,
        subject: UserId,
        recorded_at: Timestamp,
        events: &[(&str, String)],
    ) {
        let event = |(kind, data): &(&str, String)| NewEvent {
            recorded_at,
            ..test_support::event(subject, kind, data)
        };
        let events = events.iter().map(event).collect();
        self.store.append(&StreamName::raw(stream), version, events).await.unwrap();
    }

    pub(crate) fn keeper(&self) -> CheckpointSigner {
        CheckpointSigner::new(
            self.tree.clone(),
            self.store.clone(),
            self.keys.clone(),
            "example.org/log".to_owned(),
            Arc::new(TestClock::running()),
            CheckpointSignerMetrics::new(&Metrics::new("projector")),
        )
    }

    pub(crate) async fn keep(&self) -> Result<(), KeepError> {
        let mut keeper = self.keeper();
        while keeper.step().await? {}
        Ok(())
    }

    /// The tree that grows.
    pub(crate) async fn newest(&self) -> Tree {
        self.tree.newest().await.unwrap().unwrap()
    }

    /// The one record of what was signed last, beside the keys.
    pub(crate) fn record(&self) -> PathBuf {
        let files = std::fs::read_dir(&self.keys).unwrap();
        let mut paths = files.map(|file| file.unwrap().path());
        paths.find(|path| path.extension().is_some_and(|it| it == "checkpoint")).unwrap()
    }

    pub(crate) async fn keys(&self) -> Vec<VerifierKey> {
        let origin = self.newest().await.origin;
        let signers = SigningKeys::read(&self.keys).unwrap().signers(&origin, Algorithm::Ed25519).unwrap();
        signers.iter().map(|signer| signer.verifier().clone()).collect()
    }

    pub(crate) async fn checkpoint(&self) -> Checkpoint {
        let tree = self.newest().await;
        let signed = self.tree.last_checkpoint(&tree).await.unwrap().unwrap();
        Checkpoint::open(&signed.note, &self.keys().await).unwrap()
    }

    pub(crate) async fn verify(&self, checkpoints: &[Checkpoint]) -> Verification {
        self.verify_with(KeptRecords { checkpoints: checkpoints.to_vec(), ..KeptRecords::default() }).await
    }

    pub(crate) async fn verify_with(&self, kept: KeptRecords) -> Verification {
        verify(&self.store, &self.tree, &self.keys().await, &[], &kept, |_, _| {}).await.unwrap()
    }

    pub(crate) async fn disagreement(&self) -> Option<Disagreement> {
        disagreement(&*self.store, Some(&self.tree), Some(&self.keys)).await.unwrap()
    }

    /// The same log and tree, seen from a host with its own directory of keys, which are the same ones or none.
    pub(crate) fn another_host(&self, has_keys: bool) -> Self {
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

    pub(crate) fn copy_keys_to(&self, keys: &Path) {
        runtime::private_files::create_directory(keys).unwrap();
        for file in std::fs::read_dir(&self.keys).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "pem") {
                std::fs::copy(&path, keys.join(path.file_name().unwrap())).unwrap();
            }
        }
    }

    /// Restores log and tree together, as from one backup.
    pub(crate) async fn go_back_to(&self, tree: &Tree) {
        let (size, id) = (tree.size, tree.last.id.unwrap().0);
        self.in_log(&format!("DELETE FROM events WHERE position > {size}")).await;
        self.in_tree(&format!("DELETE FROM tree_checkpoints WHERE size > {size}")).await;
        self.in_tree(&format!("UPDATE trees SET size = {size}, position = {size}, event_id = '{id}'")).await;
    }

    /// `{}` as a payload, in SQL.
    pub(crate) fn empty_payload(&self) -> &'static str {
        match self.log.is_postgres() {
            true => "'{}'",
            false => "CAST('{}' AS BLOB)",
        }
    }

    pub(crate) async fn in_log(&self, sql: &str) {
        assert!(self.log.execute(sql, &[]).await.unwrap() > 0, "{sql}");
    }

    pub(crate) async fn in_tree(&self, sql: &str) {
        assert!(self.tree_database.execute(sql, &[]).await.unwrap() > 0, "{sql}");
    }
}

macro_rules! on_both {
    ($($test:ident)+) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")] async fn $test() { super::$test(super::Fixture::on_sqlite().await).await; })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")] async fn $test() { super::$test(super::Fixture::on_postgres().await).await; })+
        }
    };
}
pub(crate) use on_both;
