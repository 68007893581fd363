//! Master keys that are replaced by several commands at once.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use database::{Database, Schema};
use event_store::EventStore as _;
use events::{Timestamp, UserId};
use runtime::{Clock, SystemClock};
use sealing::{KeyError, MasterKeys, SealedStore, SubjectKeys};
use uuid::Uuid;

use crate::suite::{renamed, stream};

struct Place {
    directory: tempfile::TempDir,
    database: Database,
}

impl Place {
    async fn create() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = Database::file_url(&directory.path().join("subject-keys.db"));
        let database = Database::open(&url, Schema::SubjectKeys, 4).await.unwrap();
        Self { directory, database }
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("master-keys")
    }

    async fn keys(&self) -> SubjectKeys {
        let master_keys = MasterKeys::open_or_create(&self.file(), true).unwrap();
        SubjectKeys::open(self.database.clone(), master_keys, Arc::new(SystemClock)).await.unwrap()
    }

    /// Appends an event of a new person, whose key is made by that.
    async fn register(&self, keys: &SubjectKeys) {
        let url = Database::file_url(&self.directory.path().join("events.db"));
        let log = event_store::open(&url, 1).await.unwrap();
        let store = SealedStore::over(log, keys.clone());
        let event = renamed(UserId(Uuid::now_v7()));
        store.append(&stream(), 0, vec![event]).await.unwrap();
    }
}

/// Does what `keys master rotate` and `keys master retire` do, a minute later.
async fn rotate_and_retire(keys: &SubjectKeys, file: &Path) -> Result<(), KeyError> {
    let master_keys = keys.master_keys();
    {
        let lock = master_keys.lock_file().await?;
        if master_keys.ids().len() == 1 {
            master_keys.add(&lock).await?;
        }
        keys.rewrap().await?;
    }
    let lock = master_keys.lock_file().await?;
    let opened = File::options().append(true).open(file);
    opened.unwrap().set_modified(UNIX_EPOCH + Duration::from_secs(1_000_000_000)).unwrap();
    keys.forget_old_master_keys(&lock).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn commands_that_rotate_at_once_never_lose_the_key_that_wraps() {
    let place = Place::create().await;
    place.register(&place.keys().await).await;
    let mut tasks = Vec::new();
    for _ in 0..2 {
        let (keys, file) = (place.keys().await, place.file());
        tasks.push(tokio::spawn(async move {
            for _ in 0..100 {
                // What another one has begun is refused or left, and tried again.
                let _ = rotate_and_retire(&keys, &file).await;
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let row = place.database.fetch_optional("SELECT master_key FROM data_keys", &[]).await.unwrap();
    let wraps = row.unwrap().text(0).unwrap();
    let kept = MasterKeys::from_file(&place.file()).unwrap().ids();
    assert!(kept.contains(&wraps), "{wraps} is not among {kept:?}");
}

/// Puts an old file of master keys back when it is asked for the time, as it is when a master key is registered.
struct PutsBack {
    file: PathBuf,
    old: String,
}

impl Clock for PutsBack {
    fn now(&self) -> Timestamp {
        fs::write(&self.file, &self.old).unwrap();
        SystemClock.now()
    }
}

#[tokio::test]
async fn nothing_is_wrapped_by_a_master_key_that_is_no_longer_in_the_file() {
    let place = Place::create().await;
    let keys = place.keys().await;
    place.register(&keys).await;
    let puts_back = PutsBack { file: place.file(), old: fs::read_to_string(place.file()).unwrap() };
    let lock = keys.master_keys().lock_file().await.unwrap();
    keys.master_keys().add(&lock).await.unwrap();
    let master_keys = MasterKeys::from_file(&place.file()).unwrap();
    let rotating = SubjectKeys::open(place.database.clone(), master_keys, Arc::new(puts_back));
    let refused = rotating.await.unwrap().rewrap().await;
    assert!(matches!(refused, Err(KeyError::NoLongerThere { .. })), "{refused:?}");
    place.keys().await.rewrap().await.unwrap();
}
