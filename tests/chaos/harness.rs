//! The system under test, and connections of the harness to its servers that no network fault affects.

use std::{fmt::Display, sync::Arc, time::Duration};

use bus::{RabbitBus, RabbitOptions};
use database::{Database, Schema};
use event_store::EventStore;
use events::UserId;
use sqlx::PgPool;
use tokio::sync::{Mutex, OnceCell};

use crate::{
    poison::Poisoned,
    schedule::{EVENTS, TABLES},
    support::{System, amqp_url},
};

pub(crate) struct Harness {
    pub(crate) system: Mutex<System>,
    /// The ids and addresses of the users whose tasks are checked.
    pub(crate) people: OnceCell<Vec<(UserId, String)>>,
    /// The records and rows that were made unreadable.
    pub(crate) poisoned: Mutex<Poisoned>,
    pub(crate) is_on_kurrentdb: bool,
    /// Locked while a fault affects the leader of KurrentDB.
    pub(crate) kurrentdb_fault: Mutex<()>,
    servers: OnceCell<Servers>,
}

/// The servers as the harness reaches them.
pub(crate) struct Servers {
    pub(crate) pool: PgPool,
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) read_models: Database,
    pub(crate) bus: Arc<RabbitBus>,
}

impl Harness {
    pub(crate) fn new(system: System) -> Self {
        Self {
            is_on_kurrentdb: system.kurrentdb.is_some(),
            system: Mutex::new(system),
            people: OnceCell::new(),
            poisoned: Mutex::default(),
            kurrentdb_fault: Mutex::default(),
            servers: OnceCell::new(),
        }
    }

    /// Connects to the servers, and prepares tables for write failures.
    pub(crate) async fn prepare(&self) {
        let system = self.system.lock().await;
        let url = system.database_url("");
        let options = RabbitOptions {
            name: "chaos".to_owned(),
            namespace: system.broker.as_ref().unwrap().namespace.clone(),
        };
        let servers = Servers {
            pool: PgPool::connect(&url).await.unwrap(),
            store: system.open_log().await,
            read_models: Database::connect(&url, Schema::ReadModels, 2).await.unwrap(),
            bus: RabbitBus::connect(&amqp_url(), options).await.unwrap(),
        };
        // A table whose name is in `full_disks` rejects writes. Only that row changes while the system runs.
        let mut sql = "CREATE SCHEMA chaos;
            CREATE TABLE chaos.full_disks (name TEXT PRIMARY KEY);
            CREATE FUNCTION chaos.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF EXISTS (SELECT FROM chaos.full_disks WHERE name = TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME) THEN
                    RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
                END IF;
                RETURN NULL;
            END $$;"
            .to_owned();
        for table in TABLES {
            if table == EVENTS && self.is_on_kurrentdb {
                continue;
            }
            sql += &format!(
                "CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON {table}
                 FOR EACH STATEMENT EXECUTE FUNCTION chaos.refuse();"
            );
        }
        sqlx::raw_sql(&sql).execute(&servers.pool).await.unwrap();
        assert!(self.servers.set(servers).is_ok(), "prepared once");
    }

    pub(crate) fn servers(&self) -> &Servers {
        self.servers.get().unwrap()
    }
}

/// Repeats `attempt` until it succeeds, since faults affect the servers.
pub(crate) async fn persist<T, E: Display>(what: &str, mut attempt: impl AsyncFnMut() -> Result<T, E>) -> T {
    const RECOVERY_TIMEOUT: Duration = Duration::from_secs(60);
    let deadline = tokio::time::Instant::now() + RECOVERY_TIMEOUT;
    loop {
        match attempt().await {
            Ok(done) => return done,
            Err(error) if tokio::time::Instant::now() >= deadline => {
                panic!("not within {RECOVERY_TIMEOUT:?}: {what}: {error}")
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
