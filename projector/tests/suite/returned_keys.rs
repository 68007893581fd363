//! What is parked because the key of its person cannot be used is projected by itself once it can be.

use std::sync::Arc;

use bus::InProcessBus;
use database::{Database, Schema, Value};
use event_store::EventStore;
use events::{TaskCompleted, UserId};
use projector::parked;
use sealing::SealedStore;
use tempfile::TempDir;
use test_support::subject_keys;

use super::{
    fixture::{Fixture, eventually},
    writer::{Writer, created, registered, user},
};

pub(crate) async fn whose_key_is_there_again_is_projected_without_a_command(fixture: Fixture) {
    let directory = TempDir::new().unwrap();
    let stored = Arc::clone(&fixture.store);
    let keys = subject_keys(directory.path()).await;
    let sealed: Arc<dyn EventStore> = SealedStore::over(Arc::clone(&stored), keys);
    let mut log = Writer::new(&sealed);
    let (back, away) = (user(1), user(2));
    for person in [back, away] {
        log.account(person, registered("person@example.org")).await;
        let task = person.0.as_u128();
        log.task(task, person, created(person, "Sealed")).await;
        log.task(task, person, TaskCompleted {}).await;
    }
    let database = key_database(&directory).await;
    let strike = "UPDATE data_keys SET master_key = 'away' WHERE subject = $1";
    for person in [back, away] {
        set(&database, strike, person).await;
    }

    // Nobody has used these keys yet.
    let keys = subject_keys(directory.path()).await;
    let fixture = fixture.over(SealedStore::over(stored, keys));
    let running = fixture.project(2, InProcessBus::new()).await;
    let report = fixture.caught_up().await;
    assert_eq!((report.audit, report.parked), (6, 6));

    let return_it = "UPDATE data_keys SET master_key = (SELECT id FROM master_keys) WHERE subject = $1";
    set(&database, return_it, back).await;
    eventually("their events are projected", async || fixture.count("parked_events").await == 3).await;
    assert_eq!(fixture.caught_up().await.parked, 3);
    assert_eq!(fixture.count("tasks WHERE status = 'done'").await, 1);
    let left = parked(&fixture.read_models, 0).await.unwrap();
    assert!(left.iter().all(|event| event.attempts == 1), "{left:?}");
    running.stop().await;
}

async fn key_database(directory: &TempDir) -> Database {
    let url = Database::file_url(&directory.path().join("subject-keys.db"));
    Database::open(&url, Schema::SubjectKeys, 1).await.unwrap()
}

async fn set(database: &Database, sql: &str, person: UserId) {
    let values: [Value; 1] = [person.0.into()];
    assert_eq!(database.execute(sql, &values).await.unwrap(), 1);
}
