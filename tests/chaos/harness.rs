//! The system under test, and connections of the harness to its servers that no network fault affects.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bus::{RabbitBus, RabbitOptions};
use database::{Database, Schema};
use event_store::EventStore;
use events::UserId;
use sqlx::PgPool;
use tokio::sync::{Mutex, OnceCell};

use crate::{
    poison::Poisoned,
    recovery::Recovery,
    schedule::{EVENTS, TABLES},
    support::{Role, SmallDisk, System, amqp_url},
};

pub(crate) struct Harness {
    /// The disk of an embedded system, locked while it is full. Unmounted before the system's files are removed.
    pub(crate) disk: Mutex<Option<SmallDisk>>,
    pub(crate) system: Mutex<System>,
    /// The ids and addresses of the users whose tasks are checked.
    pub(crate) people: OnceCell<Vec<(UserId, String)>>,
    /// The records and rows that were made unreadable.
    pub(crate) poisoned: Mutex<Poisoned>,
    pub(crate) recovery: Recovery,
    pub(crate) is_on_kurrentdb: bool,
    pub(crate) is_embedded: bool,
    /// Locked while a fault affects the leader of KurrentDB.
    pub(crate) kurrentdb_fault: Mutex<()>,
    gateways: Vec<String>,
    /// The number of clients so far: each begins at another gateway than the last one.
    clients: AtomicUsize,
    stores: OnceCell<Stores>,
    servers: OnceCell<Servers>,
}

/// The stores as the harness reads them.
pub(crate) struct Stores {
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) read_models: Database,
}

/// Why a fault cannot be injected on this machine. Nothing else excuses a fault that does not strike.
#[derive(Debug)]
pub(crate) struct Excuse(pub(crate) String);

/// The servers as the harness reaches them.
pub(crate) struct Servers {
    pub(crate) pool: PgPool,
    pub(crate) bus: Arc<RabbitBus>,
}

impl Harness {
    pub(crate) fn new(system: System) -> Self {
        Self {
            is_embedded: system.broker.is_none(),
            is_on_kurrentdb: system.kurrentdb.is_some(),
            gateways: system.bases.clone(),
            clients: AtomicUsize::new(0),
            system: Mutex::new(system),
            people: OnceCell::new(),
            poisoned: Mutex::default(),
            recovery: Recovery::new(),
            kurrentdb_fault: Mutex::default(),
            stores: OnceCell::new(),
            servers: OnceCell::new(),
            disk: Mutex::default(),
        }
    }

    /// Begins an embedded system again on a disk that can be filled, where mounting is allowed.
    pub(crate) async fn move_to_a_small_disk(&self) {
        let mut system = self.system.lock().await;
        system.kill(Role::Up);
        *self.disk.lock().await = SmallDisk::mount(system.data_dir(), 256);
        system.launch(Role::Up);
    }

    /// Connects to the stores and servers, and prepares tables for write failures.
    pub(crate) async fn prepare(&self) {
        let system = self.system.lock().await;
        let url = system.database_url("read-models.db");
        let stores = Stores {
            store: system.open_log().await,
            read_models: Database::connect(&url, Schema::ReadModels, 2).await.unwrap(),
        };
        assert!(self.stores.set(stores).is_ok(), "prepared once");
        let Some(broker) = &system.broker else {
            return;
        };
        let options = RabbitOptions { name: "chaos".to_owned(), namespace: broker.namespace.clone() };
        let servers = Servers {
            pool: PgPool::connect(&url).await.unwrap(),
            bus: RabbitBus::connect(&amqp_url(), options).await.unwrap(),
        };
        // A table whose name is in `full_disks` rejects writes. Only that row changes while the system runs.
        let mut sql = "CREATE SCHEMA chaos;
            CREATE TABLE chaos.full_disks (name TEXT PRIMARY KEY);
            CREATE FUNCTION chaos.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF EXISTS (SELECT FROM chaos.full_disks WHERE name = TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME) THEN
                    -- A sequence is not rolled back.
                    PERFORM nextval(format('chaos.%I', TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME));
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
                "CREATE SEQUENCE chaos.\"{table}\";
                 CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON {table}
                 FOR EACH STATEMENT EXECUTE FUNCTION chaos.refuse();"
            );
        }
        sqlx::raw_sql(&sql).execute(&servers.pool).await.unwrap();
        assert!(self.servers.set(servers).is_ok(), "prepared once");
    }

    /// The gateways in turn, for one client.
    pub(crate) fn turns(&self) -> Turns<'_> {
        Turns {
            gateways: &self.gateways,
            next: AtomicUsize::new(self.clients.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// Where commands are taken without a gateway in between: at the command APIs, or at the only process.
    pub(crate) async fn command_apis(&self) -> Vec<String> {
        if self.is_embedded {
            return self.gateways.clone();
        }
        let system = self.system.lock().await;
        let addresses = system.setting("TASKLEDGER_COMMAND_API_URL").split(',');
        addresses.map(str::to_owned).collect()
    }

    /// Number of writes that were refused as on a full disk, by table.
    pub(crate) async fn refused_writes(&self) -> BTreeMap<String, usize> {
        const SQL: &str = "SELECT sequencename::text, last_value FROM pg_sequences
             WHERE schemaname = 'chaos' AND last_value IS NOT NULL";
        let Some(servers) = self.servers.get() else {
            return BTreeMap::new();
        };
        let refused: Vec<(String, i64)> = sqlx::query_as(SQL).fetch_all(&servers.pool).await.unwrap();
        let counted = refused.into_iter().map(|(table, count)| (table, usize::try_from(count).unwrap()));
        counted.collect()
    }

    pub(crate) fn stores(&self) -> &Stores {
        self.stores.get().unwrap()
    }

    pub(crate) fn servers(&self) -> &Servers {
        self.servers.get().unwrap()
    }
}

/// The gateways in turn, since one may be frozen or gone. Clients that shared their turns could meet the same one again
/// and again.
pub(crate) struct Turns<'a> {
    gateways: &'a [String],
    next: AtomicUsize,
}

impl<'a> Turns<'a> {
    pub(crate) fn gateway(&self) -> &'a str {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        &self.gateways[turn % self.gateways.len()]
    }
}
