//! The databases that this process has opened. Schemas of one PostgreSQL server share its connections, a file is opened
//! once, and the end of the process closes all of them.

use std::sync::OnceLock;

use anyhow::anyhow;
use database::{Database, Schema};
use futures::future::join_all;
use tokio::sync::Mutex;

/// Connections to one PostgreSQL server that a process shares among all its tasks. Four more serve one purpose each:
/// appending, signals, the election of the relay, and the lock against processes that would not hear of this one. The
/// sum is 9, so that two replicas of the five roles fit into the 100 connections that PostgreSQL accepts by default,
/// with room for operators.
const OF_A_ROLE: u32 = 5;
/// Shared connections of a process that runs all roles.
const OF_ALL_ROLES: u32 = 12;
/// Connections that read a SQLite file. Each has a thread and a cache of its own.
const OF_A_FILE: u32 = 5;

static CONNECTIONS: OnceLock<u32> = OnceLock::new();
/// The databases with their URLs, as they were given.
static OPENED: Mutex<Vec<(String, Database)>> = Mutex::const_new(Vec::new());

/// Gives this process the number of connections that all roles together need. Must be called before any connection is
/// opened.
///
/// # Errors
///
/// When a connection was opened before.
pub(crate) fn serve_all_roles() -> anyhow::Result<()> {
    CONNECTIONS.set(OF_ALL_ROLES).map_err(|_| anyhow!("databases were opened too early; this is a bug"))
}

/// Number of shared connections to the server or file at `url`.
pub(crate) fn connections_to(url: &str) -> u32 {
    if url.starts_with("sqlite:") { OF_A_FILE } else { *CONNECTIONS.get_or_init(|| OF_A_ROLE) }
}

/// Opens the database of `schema` at `url` without migrating it, over the connections to its server that are open
/// already.
pub(crate) async fn connect(url: &str, schema: Schema) -> anyhow::Result<Database> {
    let mut opened = OPENED.lock().await;
    let mut same = opened.iter().filter(|(other, _)| other == url);
    let shared = same.find_map(|(_, database)| database.with_schema(schema));
    if let Some(database) = shared {
        return Ok(database);
    }
    let database = Database::connect(url, schema, connections_to(url)).await?;
    opened.push((url.to_owned(), database.clone()));
    Ok(database)
}

/// Closes all databases at the same time, so that one which others use does not hold up the rest. Each file is opened
/// once: of two closings of one file at the same moment, neither would be the last, which removes the -wal.
pub(crate) async fn close_all() {
    let opened = std::mem::take(&mut *OPENED.lock().await);
    join_all(opened.iter().map(|(_, database)| database.close())).await;
}
