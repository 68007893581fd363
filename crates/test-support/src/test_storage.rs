//! The databases of one test, on files or on a server.

use std::sync::Arc;

use database::{Database, Schema};
use event_store::EventStore;
use tempfile::TempDir;

use crate::TestDatabase;

/// Where the databases of a test are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Footing {
    /// In SQLite files.
    Sqlite,
    /// On a PostgreSQL server.
    Postgres,
}

/// Fresh databases on one footing, which are deleted when this is dropped. Whoever opens one twice has two replicas.
#[derive(Debug)]
pub struct TestStorage {
    home: Home,
}

#[derive(Debug)]
enum Home {
    Directory(TempDir),
    Server(TestDatabase),
}

impl TestStorage {
    /// Empty ones.
    ///
    /// # Panics
    /// When there is no room, or no server.
    pub async fn new(footing: Footing) -> Self {
        let home = match footing {
            Footing::Sqlite => Home::Directory(TempDir::new().unwrap()),
            Footing::Postgres => Home::Server(TestDatabase::create().await),
        };
        Self { home }
    }

    /// The log.
    ///
    /// # Panics
    /// When it cannot be opened.
    pub async fn event_store(&self) -> Arc<dyn EventStore> {
        event_store::open(&self.url("events.db"), 4).await.unwrap()
    }

    /// What the roles must remember.
    ///
    /// # Panics
    /// When it cannot be opened.
    pub async fn operations(&self) -> Database {
        self.open("operations.db", Schema::Operations).await
    }

    /// What is projected from the log.
    ///
    /// # Panics
    /// When it cannot be opened.
    pub async fn read_models(&self) -> Database {
        self.open("read-models.db", Schema::ReadModels).await
    }

    /// Takes away every event above `after`, as a restore from a backup or a failover does.
    ///
    /// # Panics
    /// When there is none above it.
    pub async fn cut_log(&self, after: u64) {
        self.damage_log(&format!("DELETE FROM events WHERE position > {after}")).await;
    }

    /// Changes the log directly.
    ///
    /// # Panics
    /// When the statement changes nothing.
    pub async fn damage_log(&self, sql: &str) {
        let log = Database::connect(&self.url("events.db"), Schema::EventStore, 1).await.unwrap();
        assert!(log.execute(sql, &[]).await.unwrap() > 0);
        log.close().await;
    }

    async fn open(&self, file: &str, schema: Schema) -> Database {
        Database::open(&self.url(file), schema, 4).await.unwrap()
    }

    fn url(&self, file: &str) -> String {
        match &self.home {
            Home::Directory(directory) => Database::file_url(&directory.path().join(file)),
            Home::Server(database) => database.url().into(),
        }
    }
}

/// Makes two tests of each scenario, which is a function of the [`Footing`]: one in SQLite files, one on PostgreSQL.
#[macro_export]
macro_rules! on_both_footings {
    ($($scenario:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $scenario() {
                    super::$scenario($crate::Footing::Sqlite).await;
                }
            )+
        }

        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $scenario() {
                    super::$scenario($crate::Footing::Postgres).await;
                }
            )+
        }
    };
}
