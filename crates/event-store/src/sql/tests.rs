//! A store whose append task has ended.

use database::Schema;
use events::UserId;
use test_support::new_event;
use uuid::Uuid;

use super::*;
use crate::{
    append::{Append, Outcome},
    appender::{BatchError, Writer},
};

/// Panics at once, where the append task does not catch it.
struct Broken;

impl Writer for Broken {
    fn commit(&mut self, batch: &[Append]) -> impl Future<Output = Result<Vec<Outcome>, BatchError>> + Send {
        assert!(batch.is_empty(), "a bug");
        std::future::ready(Ok(Vec::new()))
    }

    async fn close(self) {}
}

#[tokio::test]
async fn a_store_whose_append_task_has_ended_is_not_ready() {
    let directory = tempfile::tempdir().unwrap();
    let url = Database::file_url(&directory.path().join("events.db"));
    let database = Database::open(&url, Schema::EventStore, 1).await.unwrap();
    let mut store = SqlStore::new(database);
    store.can_append().await.unwrap();
    store.appender = Appender::start(Broken, Arc::clone(&store.log.head));
    let event = new_event(UserId(Uuid::nil()), "{}");
    let append = store.append(&StreamName::raw("task-1"), 0, vec![event]).await;
    assert!(matches!(append, Err(StoreError::Unavailable(_))), "{append:?}");
    // The append gets its answer before the task has ended.
    while store.appender.check_running().is_ok() {
        tokio::task::yield_now().await;
    }
    let ready = store.can_append().await;
    assert!(matches!(ready, Err(StoreError::Unavailable(_))), "{ready:?}");
}
