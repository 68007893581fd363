//! Refuses processes on one PostgreSQL that would not hear of each other. Without RabbitMQ the bus is within one
//! process, which has to be the only one; processes with RabbitMQ work beside each other, in any number. An import may
//! run beside those, but not beside another import.

use anyhow::Context as _;
use database::{LockMode, PostgresServer, ProcessLock, Schema};
use runtime::Background;

use crate::{databases, platform, settings::Settings};

const NAME: &str = "taskledger.sole_process";
/// The name of the lock that an import takes besides.
const IMPORT: &str = "taskledger.import";

/// Takes the lock for a role, or for the process that runs all roles, and keeps it until the process ends: alone
/// without RabbitMQ, and together with others with it. Files have a lock of their own.
///
/// The process is stopped if one that excludes it gets the lock, which can happen only after the server was
/// unreachable.
pub(crate) async fn lock(settings: &Settings, background: &Background) -> anyhow::Result<()> {
    let storage = &settings.storage;
    if storage.is_embedded()? {
        return Ok(());
    }
    let mode = match storage.amqp_url()? {
        Some(_) => LockMode::Shared,
        None => LockMode::Exclusive,
    };
    let url = platform::database_url(storage, Schema::Operations)?;
    // The connections are those of the roles. Nothing is created or migrated yet.
    let database = databases::connect(&url, Schema::Operations).await?;
    if let Some(server) = database.postgres() {
        let lock = ProcessLock::take(server, NAME, mode).await?;
        let lock = lock.context(excluded_by(mode))?;
        let failing = background.clone();
        background.spawn_until_stopped("lock of the processes on one database", async move {
            lock.hold().await;
            failing.fail(excluded_by(mode));
        });
    }
    Ok(())
}

/// Takes the locks of an import: together with processes with RabbitMQ, and alone among imports, whether they have
/// RabbitMQ or not. An import that began while another one writes would note, when that one has ended, that the log is
/// only a part of one.
pub(crate) async fn lock_import(server: &PostgresServer) -> anyhow::Result<[ProcessLock; 2]> {
    let beside_roles = ProcessLock::take(server, NAME, LockMode::Shared).await?;
    let beside_roles = beside_roles.context(
        "a taskledger without RabbitMQ runs all roles on this database: stop it before the import",
    )?;
    let among_imports = ProcessLock::take(server, IMPORT, LockMode::Exclusive).await?;
    let among_imports = among_imports
        .context("another `taskledger events import` runs on this database: wait until it has ended")?;
    Ok([beside_roles, among_imports])
}

/// What excludes a process that takes the lock in this way.
const fn excluded_by(mode: LockMode) -> &'static str {
    match mode {
        LockMode::Exclusive => {
            "another taskledger works on this database, and without RabbitMQ the two would not hear of each other: set AMQP_URL for both, or stop the other one"
        }
        LockMode::Shared => {
            "a taskledger without RabbitMQ runs all roles on this database, and would not hear of this one: set AMQP_URL for it, too, or stop it"
        }
    }
}
