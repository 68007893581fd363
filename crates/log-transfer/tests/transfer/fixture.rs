//! A store with a log of two people, and files beside it.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use event_store::{EventStore, head_point};
use events::{NewEvent, StoredEvent, StreamName, UserId};
use log_transfer::{End, Export, ExportError, ImportError, Inspection, import, inspect};
use tempfile::TempDir;
use uuid::Uuid;

pub(crate) const EVENTS: usize = 2_500;
/// Events of one person before those of the other.
pub(crate) const TURN: usize = 5;

pub(crate) struct Fixture {
    pub(crate) directory: TempDir,
    pub(crate) store: Arc<dyn EventStore>,
}

impl Fixture {
    pub(crate) async fn empty() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = database::Database::file_url(&directory.path().join("events.db"));
        let store = event_store::open(&url, 2).await.unwrap();
        Self { directory, store }
    }

    /// A log with tasks of two people in clear. If `erases` is true, one of them is erased at the end.
    pub(crate) async fn with_tasks(count: usize, erases: bool) -> (Self, [UserId; 2]) {
        let fixture = Self::empty().await;
        let people = [UserId(Uuid::now_v7()), UserId(Uuid::now_v7())];
        let streams = people.map(|_| StreamName::raw(format!("task-{}", Uuid::now_v7())));
        for (turn, first) in (0..count).step_by(TURN).enumerate() {
            let person = turn % 2;
            let renamed = |number| {
                let data = format!(r#"{{"title":"Secret {number}","priority":"low"}}"#);
                event(people[person], "task.renamed", &data)
            };
            let events = (first..count.min(first + TURN)).map(renamed).collect();
            let version = (turn / 2 * TURN) as u64;
            fixture.store.append(&streams[person], version, events).await.unwrap();
        }
        if erases {
            let erased = event(people[0], "account.erased", "{}");
            fixture.append(&StreamName::account(people[0]), 0, erased).await;
        }
        (fixture, people)
    }

    pub(crate) async fn append(&self, stream: &StreamName, version: u64, event: NewEvent) {
        self.store.append(stream, version, vec![event]).await.unwrap();
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.directory.path().join("export")
    }

    pub(crate) async fn export(&self, to: u64) -> Result<End, ExportError> {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(self.file());
        let mut file = file.unwrap();
        let store = &*self.store;
        let mut export = Export::resume(&mut file, 0, to, store, |_| {}).await?;
        export.write(store, to, &mut file, |_| {}).await
    }

    pub(crate) async fn stored(&self) -> Vec<StoredEvent> {
        let (mut events, mut after): (Vec<StoredEvent>, i64) = (Vec::new(), 0);
        loop {
            let page = self.store.stored_page(after, 1_000).await.unwrap();
            after = page.events.last().map_or(after, |last| last.position);
            events.extend(page.events);
            if !page.more {
                return events;
            }
        }
    }

    pub(crate) async fn inspect(&self, export: &Path) -> Result<Inspection, ImportError> {
        let mut file = File::open(export).unwrap();
        inspect(&mut file, Some(&*self.store), None, false, |_| {}).await
    }

    pub(crate) async fn import(&self, export: &Path) -> Result<Inspection, ImportError> {
        let inspection = self.inspect(export).await?;
        let mut file = File::open(export).unwrap();
        let end = import(&mut file, &inspection, &*self.store, |_| {}).await?;
        assert_eq!(end, head_point(&*self.store).await.unwrap());
        self.store.note_import(None).await.unwrap();
        Ok(inspection)
    }
}

/// An event with metadata that is personal.
pub(crate) fn event(subject: UserId, kind: &str, data: &str) -> NewEvent {
    let mut event = test_support::event(subject, kind, data);
    event.metadata.actor = events::Actor::User(subject);
    event.metadata.correlation_id = "request of ada".into();
    event.metadata.idempotency_key = Some("key of ada".into());
    event
}
