//! Databases of one footing, fresh for one test, and a bus.

use std::sync::Arc;

use bus::{Bus, InProcessBus};
use database::{Database, Schema};
use event_store::EventStore;
use tempfile::TempDir;
use test_support::{TestClock, TestDatabase};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Footing {
    Sqlite,
    Postgres,
}

pub(crate) struct Stage {
    home: Home,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) clock: Arc<TestClock>,
}

enum Home {
    Directory(TempDir),
    Server(TestDatabase),
}

impl Stage {
    pub(crate) async fn new(footing: Footing) -> Self {
        let home = match footing {
            Footing::Sqlite => Home::Directory(TempDir::new().unwrap()),
            Footing::Postgres => Home::Server(TestDatabase::create().await),
        };
        let bus: Arc<dyn Bus> = InProcessBus::new();
        Self {
            home,
            bus,
            clock: Arc::new(TestClock::running()),
        }
    }

    pub(crate) async fn sqlite() -> Self {
        Self::new(Footing::Sqlite).await
    }

    pub(crate) async fn store(&self) -> Arc<dyn EventStore> {
        event_store::open(&self.url("events.db"), 4).await.unwrap()
    }

    pub(crate) async fn operations(&self) -> Database {
        Database::open(&self.url("operations.db"), Schema::Operations, 4)
            .await
            .unwrap()
    }

    pub(crate) async fn read_models(&self) -> Database {
        Database::open(&self.url("read-models.db"), Schema::ReadModels, 4)
            .await
            .unwrap()
    }

    /// Takes away every event above `after`, as a restore from a backup or a failover does.
    pub(crate) async fn cut_log(&self, after: u64) {
        let log = Database::connect(&self.url("events.db"), Schema::EventStore, 1)
            .await
            .unwrap();
        let cut = log
            .execute("DELETE FROM events WHERE position > $1", &[after.into()])
            .await;
        assert!(cut.unwrap() > 0);
        log.close().await;
    }

    fn url(&self, file: &str) -> String {
        match &self.home {
            Home::Directory(directory) => Database::file_url(&directory.path().join(file)),
            Home::Server(database) => database.url().into(),
        }
    }
}
