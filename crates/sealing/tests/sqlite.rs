//! The conformance suite of event stores over encrypted events on SQLite, and the promises about keys.

#![expect(clippy::disallowed_methods, reason = "tests make ids and start tasks as they like")]
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

#[path = "../../../events/tests/laws/arbitrary.rs"]
mod arbitrary;
#[path = "../../event-store/tests/conformance/mod.rs"]
mod conformance;
mod properties;
mod rotation;
mod suite;

use std::sync::Arc;

use async_trait::async_trait;
use conformance::{TestLog, conformance};
use database::{Database, Schema};
use event_store::EventStore;
use sealing::{KeyError, SealedStore};
use suite::{Place, promises};
use tempfile::TempDir;
use test_support::subject_keys;

struct SealedLog(TempDir);

async fn fresh() -> SealedLog {
    SealedLog(tempfile::tempdir().expect("a temporary directory"))
}

#[async_trait]
impl TestLog for SealedLog {
    async fn store(&self) -> Arc<dyn EventStore> {
        let url = Database::file_url(&self.0.path().join("events.db"));
        let stored = event_store::open(&url, 4).await.expect("a store");
        SealedStore::over(stored, subject_keys(self.0.path()).await)
    }

    fn dense(&self) -> bool {
        true
    }

    /// Each append waits for its key first. Only those about one person are kept in order.
    fn keeps_order(&self) -> bool {
        false
    }

    fn keeps_bytes(&self) -> bool {
        false
    }
}

conformance!(fresh);

async fn place() -> (Place, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let url = |name: &str| Database::file_url(&directory.path().join(name));
    let place = Place {
        log: event_store::open(&url("events.db"), 4).await.unwrap(),
        database: Database::open(&url("subject-keys.db"), Schema::SubjectKeys, 4).await.unwrap(),
    };
    (place, directory)
}

promises!(place);

/// Whoever reads from the file, as a backup does, keeps a copy in its -wal.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_reads_the_keys_keeps_nobody_from_registering_while_a_key_is_destroyed() {
    let (place, directory) = place().await;
    let keys = place.keys().await;
    let subject = place.person(&keys).await;
    let read = async || {
        let mut reader = place.database.snapshot().await.unwrap();
        reader.fetch_all("SELECT * FROM data_keys", &[]).await.unwrap();
        reader
    };
    let reader = read().await;
    let mut destroying = std::pin::pin!(keys.destroy(subject));
    let registering = async {
        for _ in 0..5 {
            place.person(&keys).await;
        }
    };
    tokio::select! {
        biased;
        ended = &mut destroying => panic!("nobody could register before {ended:?}"),
        () = registering => {}
    }
    let refused = destroying.await.unwrap_err();
    assert!(matches!(refused, KeyError::Lingers), "{refused}");
    let refused = keys.destroy(subject).await.unwrap_err();
    assert!(matches!(refused, KeyError::Lingers), "{refused}");

    drop(reader);
    keys.destroy(subject).await.unwrap();
    let wal = directory.path().join("subject-keys.db-wal");
    assert_eq!(std::fs::metadata(wal).unwrap().len(), 0);
    // There is nothing to do any more.
    place.person(&keys).await;
    let _reader = read().await;
    keys.destroy(subject).await.unwrap();
}

#[tokio::test]
async fn a_destroyed_key_is_in_no_file() {
    let (place, directory) = place().await;
    let keys = place.keys().await;
    let subject = place.person(&keys).await;
    let wrapped = place.wrapped(subject).await.unwrap();
    let is_anywhere = || {
        let files = std::fs::read_dir(directory.path()).unwrap();
        files.flatten().any(|file| {
            let bytes = std::fs::read(file.path()).unwrap();
            bytes.windows(16).any(|window| window == &wrapped[..16])
        })
    };
    assert!(is_anywhere());
    keys.destroy(subject).await.unwrap();
    assert!(!is_anywhere());
}
