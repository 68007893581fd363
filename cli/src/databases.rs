//! The databases that this process has opened. Schemas of one PostgreSQL server share its connections, and whoever ends the
//! process closes them all, whatever opened them.

use std::sync::OnceLock;

use anyhow::anyhow;
use database::{Database, Schema};
use tokio::sync::Mutex;

/// Connections to one PostgreSQL server that a process lends to whoever needs one. A few more have one purpose only:
/// appending, signals, the election of the relay. Together they are 8: two replicas of the five roles fit into the 100 that
/// PostgreSQL takes by default, with room for operators.
const OF_A_ROLE: u32 = 5;
/// All roles in one process need more than one of them.
const OF_ALL_ROLES: u32 = 12;
/// Connections that read a SQLite file. Each has a thread and a cache.
const OF_A_FILE: u32 = 5;

static CONNECTIONS: OnceLock<u32> = OnceLock::new();
static OPENED: Mutex<Vec<Opened>> = Mutex::const_new(Vec::new());

struct Opened {
    url: String,
    database: Database,
}

/// Lets this process have the connections that all roles together need. To be said before any are opened.
pub(crate) fn serve_all_roles() -> anyhow::Result<()> {
    CONNECTIONS
        .set(OF_ALL_ROLES)
        .map_err(|_| anyhow!("databases were opened too early; this is a bug"))
}

/// How many connections to the server or file at `url` are lent to whoever reads.
pub(crate) fn connections_to(url: &str) -> u32 {
    if url.starts_with("sqlite:") {
        OF_A_FILE
    } else {
        *CONNECTIONS.get_or_init(|| OF_A_ROLE)
    }
}

/// The database of `schema` at `url` as it is, over the connections to its server that there are.
pub(crate) async fn connect(url: &str, schema: Schema) -> anyhow::Result<Database> {
    let mut opened = OPENED.lock().await;
    let shared = opened
        .iter()
        .filter(|other| other.url == url)
        .find_map(|other| other.database.with_schema(schema));
    if let Some(database) = shared {
        return Ok(database);
    }
    let database = Database::connect(url, schema, connections_to(url)).await?;
    opened.push(Opened {
        url: url.to_owned(),
        database: database.clone(),
    });
    Ok(database)
}

/// Closes all of them, the last opened first.
pub(crate) async fn close_all() {
    let opened = std::mem::take(&mut *OPENED.lock().await);
    for opened in opened.iter().rev() {
        opened.database.close().await;
    }
}
