//! Databases of one footing, fresh for one test, and a bus.

use std::{env, sync::Arc};

use bus::{Bus, InProcessBus};
use database::{Database, Schema};
use event_store::EventStore;
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;
use uuid::Uuid;

use super::TestClock;

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
    Server { admin: String, name: String },
}

impl Stage {
    pub(crate) async fn new(footing: Footing) -> Self {
        let home = match footing {
            Footing::Sqlite => Home::Directory(TempDir::new().unwrap()),
            Footing::Postgres => create_database().await,
        };
        let bus: Arc<dyn Bus> = InProcessBus::new();
        Self {
            home,
            bus,
            clock: Arc::default(),
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
            Home::Server { admin, name } => with_database(admin, name),
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let Home::Server { admin, name } = &self.home else {
            return;
        };
        let (admin, name) = (admin.clone(), name.clone());
        // `Drop` cannot wait, and the test's own runtime is about to end.
        let dropped = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap()
                .block_on(async {
                    let mut connection = PgConnection::connect(&admin).await.unwrap();
                    let statement = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
                    sqlx::query(&statement).execute(&mut connection).await.unwrap();
                });
        });
        let _ = dropped.join();
    }
}

async fn create_database() -> Home {
    let admin =
        env::var("DATABASE_URL").unwrap_or_else(|_| "postgres://postgres@127.0.0.1:5432/postgres".to_owned());
    let mut connection = PgConnection::connect(&admin).await.unwrap_or_else(|error| {
        panic!("this test needs PostgreSQL (DATABASE_URL, default 127.0.0.1:5432): {error}")
    });
    let name = format!("command_api_{}", Uuid::now_v7().simple());
    sqlx::query(&format!("CREATE DATABASE {name}"))
        .execute(&mut connection)
        .await
        .unwrap();
    Home::Server { admin, name }
}

fn with_database(url: &str, name: &str) -> String {
    let (base, query) = url
        .split_once('?')
        .map_or((url, None), |(base, query)| (base, Some(query)));
    let (server, _) = base.rsplit_once('/').unwrap();
    query.map_or_else(
        || format!("{server}/{name}"),
        |query| format!("{server}/{name}?{query}"),
    )
}
