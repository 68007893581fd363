//! What the unit tests share: an event, and read models in a file.

use std::path::Path;

use database::{Database, Schema};
use events::{Actor, EventId, Metadata, NewEvent, TaskDeleted, TaskEvent, Timestamp, UserId};
use uuid::Uuid;

/// An event of a task of nobody.
pub(crate) fn deleted() -> NewEvent {
    let metadata = Metadata::new(UserId::NOBODY, Actor::System, "", Uuid::nil());
    let event = TaskEvent::from(TaskDeleted {}).encode();
    event.into_event(EventId(runtime::new_id()), metadata, Timestamp::from_micros(0))
}

/// New read models in this directory.
pub(crate) async fn read_models(directory: &Path) -> Database {
    let url = Database::file_url(&directory.join("read-models.db"));
    Database::open(&url, Schema::ReadModels, 2).await.unwrap()
}
