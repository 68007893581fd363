//! Opens what the roles need, as configured: the event store, the bus and the databases.

use std::{path::Path, sync::Arc};

use anyhow::{Context, anyhow, bail, ensure};
use audit_tree::AuditTree;
use bus::{Bus, InProcessBus, RabbitBus, RabbitOptions};
use database::{Database, Schema};
use event_store::{EventStore, SqlStore, StoredEvents};
use projector::AuditKeeping;
use runtime::{Clock, SystemClock, masked};
use sealing::{MasterKeys, SealedStore, SubjectKeys};

use crate::{
    databases, output,
    settings::{Settings, Storage},
};

/// Installs the cryptography provider of rustls. Must be called before any connection is opened.
pub(crate) fn install_crypto_provider() -> anyhow::Result<()> {
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| anyhow!("a cryptography provider for TLS was installed twice; this is a bug"))
}

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

/// The event log with sealed and with opened events, and the keys of people.
pub(crate) struct EventLog {
    /// The log with sealed events. The relay publishes these, so that messages contain nothing personal.
    pub(crate) stored: Arc<dyn EventStore>,
    /// The log with opened events, for roles that decide on them or project them.
    pub(crate) opened: Arc<dyn EventStore>,
    pub(crate) keys: SubjectKeys,
}

/// Opens both forms of the log `stored`.
pub(crate) async fn event_log_of(
    settings: &Settings,
    stored: Arc<dyn EventStore>,
) -> anyhow::Result<EventLog> {
    let keys = subject_keys(settings, &*stored).await?;
    let opened: Arc<dyn EventStore> = match settings.storage.seal_events {
        true => SealedStore::over(Arc::clone(&stored), keys.clone()),
        false => SealedStore::only_opening(Arc::clone(&stored), keys.clone()),
    };
    Ok(EventLog { stored, opened, keys })
}

/// Opens the keys of people for the log `stored`. The first start creates the master key that wraps them. If events
/// of the log are sealed already, no master key is created, since the database would hold keys of nobody.
pub(crate) async fn subject_keys(
    settings: &Settings,
    stored: &dyn EventStore,
) -> anyhow::Result<SubjectKeys> {
    let database = database(&settings.storage, Schema::SubjectKeys).await?;
    require_keys_if_sealed(&settings.storage, Some(&database), stored).await?;
    let are_in_use = SubjectKeys::are_in_use(&database).await?;
    Ok(SubjectKeys::open(database, settings.master_keys(!are_in_use)?, clock()).await?)
}

/// Fails if events of the log are sealed and `database` holds no keys, or does not exist.
async fn require_keys_if_sealed(
    storage: &Storage,
    database: Option<&Database>,
    stored: &dyn EventStore,
) -> anyhow::Result<()> {
    let are_none = match database {
        Some(database) => SubjectKeys::are_none(database).await?,
        None => true,
    };
    if are_none && is_sealed(stored).await? {
        bail!(
            "the log holds sealed events, and no keys of people are at {}: restore them from their backup, or let KEYS_DATABASE_URL name where they are",
            masked(&database_url(storage, Schema::SubjectKeys)?)
        );
    }
    Ok(())
}

/// Returns whether there is a sealed event in the log. Where positions count events, the first and the last thousand
/// are looked at: a log of an earlier release is sealed only from the upgrade on. Elsewhere nobody knows where the last
/// thousand begin, and the log is read up to its first sealed event.
async fn is_sealed(stored: &dyn EventStore) -> anyhow::Result<bool> {
    const LOOKED_AT: i64 = 1_000;
    let sealed = events::Encoding::Sealed.as_str();
    let head = runtime::signed(stored.head().await?);
    let last = head.saturating_sub(LOOKED_AT).max(LOOKED_AT);
    let parts = match stored.positions_are_dense() {
        true => vec![(0, LOOKED_AT), (last, head)],
        false => vec![(0, head)],
    };
    for (after, to) in parts {
        let mut log = StoredEvents::new(stored, after, to);
        while let Some(page) = log.next_page().await? {
            if page.iter().any(|event| event.encoding == sealed) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Opens the keys of people if they have a database. Nothing is created or migrated. If it holds no key in use,
/// though perhaps destroyed ones, no master key is needed.
pub(crate) async fn existing_subject_keys(settings: &Settings) -> anyhow::Result<Option<SubjectKeys>> {
    let Some(database) = find(&settings.storage, Schema::SubjectKeys).await? else {
        return Ok(None);
    };
    let master_keys = match SubjectKeys::are_in_use(&database).await? {
        true => settings.master_keys(false)?,
        false => MasterKeys::none(),
    };
    Ok(Some(SubjectKeys::open(database, master_keys, clock()).await?))
}

/// Opens the keys of people for the log `stored`, if they have a database. Nothing is created or migrated. Fails if
/// there are none and events of the log are sealed.
pub(crate) async fn existing_subject_keys_of(
    settings: &Settings,
    stored: &dyn EventStore,
) -> anyhow::Result<Option<SubjectKeys>> {
    let storage = &settings.storage;
    let database = find(storage, Schema::SubjectKeys).await?;
    require_keys_if_sealed(storage, database.as_ref(), stored).await?;
    existing_subject_keys(settings).await
}

/// Opens and migrates the log with sealed events. A log whose import has not ended is refused.
pub(crate) async fn event_store(storage: &Storage) -> anyhow::Result<Arc<dyn EventStore>> {
    let store = event_store_to_import_into(storage).await?;
    require_whole(storage, &*store).await?;
    Ok(store)
}

/// Opens and migrates the log for an import, which may complete one that has not ended.
pub(crate) async fn event_store_to_import_into(storage: &Storage) -> anyhow::Result<Arc<dyn EventStore>> {
    let url = database_url(storage, Schema::EventStore)?;
    if is_database(&url) {
        return Ok(Arc::new(SqlStore::new(database(storage, Schema::EventStore).await?)));
    }
    Ok(event_store::open(&url, 1).await?)
}

/// Fails if an import into the log has begun and not ended, since what is derived from such a log would belong to a
/// history that never existed.
pub(crate) async fn require_whole(storage: &Storage, store: &dyn EventStore) -> anyhow::Result<()> {
    let Some(import) = store.unfinished_import().await? else {
        return Ok(());
    };
    bail!(
        "the log at {} is only a part of one, since an import of {} into it has begun and not ended: go on with `taskledger events import` and the same file, or empty this place and begin again",
        masked(&database_url(storage, Schema::EventStore)?),
        output::counted(import.events, "event")
    )
}

/// Opens and migrates the database of `schema`.
pub(crate) async fn database(storage: &Storage, schema: Schema) -> anyhow::Result<Database> {
    let database = databases::connect(&database_url(storage, schema)?, schema).await?;
    database.migrate().await?;
    Ok(database)
}

/// Returns whether there is a log. A store that is not one of our databases counts as one.
pub(crate) async fn has_log(storage: &Storage) -> anyhow::Result<bool> {
    Ok(!is_database(&database_url(storage, Schema::EventStore)?)
        || find(storage, Schema::EventStore).await?.is_some())
}

/// Opens the log for reading if it exists, even if its import has not ended.
pub(crate) async fn find_event_store(storage: &Storage) -> anyhow::Result<Option<Arc<dyn EventStore>>> {
    if is_database(&database_url(storage, Schema::EventStore)?) {
        let database = find(storage, Schema::EventStore).await?;
        return Ok(database.map(|database| Arc::new(SqlStore::new(database)) as Arc<dyn EventStore>));
    }
    // A store that is not one of our databases has nothing to migrate.
    event_store_to_import_into(storage).await.map(Some)
}

/// Opens and migrates the audit tree.
pub(crate) async fn audit_tree(storage: &Storage) -> anyhow::Result<AuditTree> {
    Ok(AuditTree::new(database(storage, Schema::AuditTree).await?))
}

/// The settings and keys with which the audit tree is maintained.
pub(crate) async fn audit_keeping(settings: &Settings) -> anyhow::Result<AuditKeeping> {
    Ok(AuditKeeping {
        tree: audit_tree(&settings.storage).await?,
        keys: settings.audit_keys_dir(),
        origin: settings.auth.audit_origin.clone(),
        witnesses: settings.auth.audit_witnesses.clone(),
        clock: clock(),
    })
}

/// Returns whether the log at `url` is in PostgreSQL or SQLite.
fn is_database(url: &str) -> bool {
    ["postgres:", "postgresql:", "sqlite:"].iter().any(|scheme| url.starts_with(scheme))
}

/// Opens the database of `schema` if it exists. Nothing is created or migrated.
pub(crate) async fn find(storage: &Storage, schema: Schema) -> anyhow::Result<Option<Database>> {
    find_at(&database_url(storage, schema)?, schema).await
}

/// Opens the database of `schema` at `url` if it exists. Nothing is created or migrated.
pub(crate) async fn find_at(url: &str, schema: Schema) -> anyhow::Result<Option<Database>> {
    // SQLite creates a file that does not exist, so that is checked first.
    if url.strip_prefix("sqlite:").is_some_and(|file| !Path::new(file).exists()) {
        return Ok(None);
    }
    let database = databases::connect(url, schema).await?;
    Ok(database.is_migrated().await?.then_some(database))
}

/// Fails if what is added to the database of `schema` later is not seen, so that nobody waits for it.
pub(crate) async fn require_followable(storage: &Storage, schema: Schema) -> anyhow::Result<()> {
    let url = database_url(storage, schema)?;
    if is_database(&url)
        && let Some(database) = find_at(&url, schema).await?
    {
        ensure!(
            !database.is_read_only(),
            "the database at {} cannot be followed where it is, since it cannot be written there",
            database.url()
        );
    }
    Ok(())
}

pub(crate) fn database_url(storage: &Storage, schema: Schema) -> anyhow::Result<String> {
    let (url, file) = match schema {
        Schema::EventStore => (storage.event_store_url()?, "events.db"),
        Schema::SubjectKeys => (storage.keys_database_url()?, "subject-keys.db"),
        Schema::Operations => (storage.database_url()?, "operations.db"),
        Schema::AuditTree => (storage.database_url()?, "audit-tree.db"),
        Schema::ReadModels => (storage.database_url()?, "read-models.db"),
        Schema::ReadModelsShadow => (storage.database_url()?, "read-models.shadow.db"),
        Schema::ReadModelsPrevious => (storage.database_url()?, "read-models.previous.db"),
    };
    Ok(url.unwrap_or_else(|| file_url(storage, file)))
}

/// Connects to RabbitMQ, or without it returns the bus within this process.
pub(crate) async fn bus(storage: &Storage, role: &str) -> anyhow::Result<Arc<dyn Bus>> {
    match storage.amqp_url()? {
        Some(url) => {
            let options = RabbitOptions { name: role.to_owned(), namespace: storage.bus_namespace.clone() };
            let bus = RabbitBus::connect(&url, options)
                .await
                .with_context(|| format!("cannot connect to RabbitMQ at {}", masked(&url)))?;
            Ok(bus)
        }
        None => Ok(InProcessBus::new()),
    }
}

/// Fails unless the servers are set that a role in a process of its own needs: a broker, and for all roles but the
/// gateway a `database`.
pub(crate) fn require_servers(settings: &Settings, role: &str, database: bool) -> anyhow::Result<()> {
    let storage = &settings.storage;
    let has_database = !database || !storage.is_embedded()?;
    let missing = match (has_database, storage.amqp_url()?) {
        (true, Some(_)) => return Ok(()),
        (false, Some(_)) => "DATABASE_URL",
        (true, None) => "AMQP_URL",
        (false, None) => "DATABASE_URL and AMQP_URL",
    };
    bail!(
        "the role {role} in a process of its own meets the others on servers: set {missing}, or run `taskledger up` instead"
    )
}

fn file_url(storage: &Storage, file: &str) -> String {
    Database::file_url(&storage.data_dir.join(file))
}
