//! The databases of a running system.

use std::{sync::Arc, time::Duration};

use database::{Database, Schema};
use event_store::EventStore;
use runtime::SystemClock;
use sealing::{MasterKeys, SealedStore, SubjectKeys};

use super::System;
use test_support::until;

impl System {
    /// Opens the read models beside the running system.
    pub(crate) async fn read_models(&self) -> Database {
        let url = self.database_url("read-models.db");
        Database::connect(&url, Schema::ReadModels, 2).await.unwrap()
    }

    /// Opens the log with opened events beside the running system.
    pub(crate) async fn open_log(&self) -> Arc<dyn EventStore> {
        let stored = event_store::open(&self.store_url(), 4).await.unwrap();
        let url = self.database_url("subject-keys.db");
        let database = Database::open(&url, Schema::SubjectKeys, 4).await.unwrap();
        let master_keys = MasterKeys::from_file(&self.data_dir().join("keys/master-keys")).unwrap();
        let keys = SubjectKeys::open(database, master_keys, Arc::new(SystemClock)).await;
        SealedStore::over(stored, keys.unwrap())
    }

    /// Opens the log and the read models beside the running system and waits until they agree.
    pub(crate) async fn read_models_equal_the_log(&self) -> projector::Report {
        let store = self.open_log().await;
        let read_models =
            Database::connect(&self.database_url("read-models.db"), Schema::ReadModels, 4).await.unwrap();
        let mut last = None;
        until("the read models equal a fold of the log", Duration::from_secs(60), async || {
            let report = projector::verify(store.as_ref(), &read_models).await.unwrap();
            let equal = report.differences.is_empty();
            if last.as_ref() != Some(&report.differences) && !equal {
                eprintln!("not yet: {:?}", report.differences);
            }
            last = Some(report.differences);
            equal
        })
        .await;
        projector::verify(store.as_ref(), &read_models).await.unwrap()
    }

    /// The URL of the log's store.
    pub(crate) fn store_url(&self) -> String {
        let elsewhere = self.settings.get("EVENT_STORE_URL").cloned();
        elsewhere.unwrap_or_else(|| self.database_url("events.db"))
    }

    pub(crate) fn database_url(&self, file: &str) -> String {
        match &self.database {
            Some(database) => database.url().into(),
            None => Database::file_url(&self.data_dir().join(file)),
        }
    }
}
