//! The settings of every connection, which statements rely on whatever the server's defaults are.

use std::time::Duration;

use sqlx::{
    postgres::PgConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use crate::Schema;

/// The planner settings of PostgreSQL. Every statement has an index for its conditions and its order, and using it is
/// right for any amount of data. So a plan is made once for each statement, because planning takes longer than most
/// statements. With its statistics alone, PostgreSQL would sort all tasks of a person with many tasks, and would keep
/// reading whole tables that were empty when the plan was made.
const PLANNING: [(&str, &str); 4] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_sort", "off"),
    ("enable_seqscan", "off"),
    ("jit", "off"),
];

/// Within 10 seconds the server notices that a client's machine is gone, and releases the locks of its transactions.
/// Others wait for these locks, for example for a checkpoint or for the leadership of the relay.
const KEEP_ALIVE: [(&str, &str); 4] = [
    ("tcp_keepalives_idle", "4"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "10000"),
];

/// A stopped client whose kernel still answers keeps its locks no longer than this, so that others continue within 15
/// seconds. [`StatementTimeout`] sets another `statement_timeout` for longer work.
const DEADLINES: [(&str, &str); 3] =
    [("statement_timeout", "15s"), ("lock_timeout", "10s"), ("idle_in_transaction_session_timeout", "10s")];

/// The syntax that statements rely on.
const SYNTAX: [(&str, &str); 1] = [("standard_conforming_strings", "on")];

/// How long SQLite waits for other users of a locked file.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The settings of every connection to PostgreSQL.
pub(crate) fn for_all(options: PgConnectOptions, schema: Schema) -> PgConnectOptions {
    options
        .application_name("taskledger")
        .options([("search_path", schema.search_path())])
        .options(PLANNING)
        .options(KEEP_ALIVE)
        .options(DEADLINES)
        .options(SYNTAX)
}

/// The settings of every connection to a SQLite file.
pub(crate) fn for_file(options: SqliteConnectOptions, schema: Schema) -> SqliteConnectOptions {
    let options = options
        // It is made once, when the database is opened: a connection that is opened later must not begin another file.
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(match schema {
            // What is lost at the end is projected again from the log.
            Schema::ReadModels | Schema::ReadModelsShadow | Schema::ReadModelsPrevious => {
                SqliteSynchronous::Normal
            }
            Schema::EventStore | Schema::SubjectKeys | Schema::Operations | Schema::AuditTree => {
                SqliteSynchronous::Full
            }
        })
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true);
    let options = for_any_file(options);
    match schema {
        // Deleted data is overwritten with zeros at once: destroyed keys, and the rows of people who were erased. What
        // is left are copies in pages that were divided (`forgetting.rs`).
        Schema::SubjectKeys
        | Schema::Operations
        | Schema::ReadModels
        | Schema::ReadModelsShadow
        | Schema::ReadModelsPrevious => options.pragma("secure_delete", "ON"),
        Schema::EventStore | Schema::AuditTree => options,
    }
}

/// The settings of every connection to a SQLite file that nobody writes. SQLite then needs no other file beside it, and
/// takes no lock.
pub(crate) fn for_read_only_file(options: SqliteConnectOptions) -> SqliteConnectOptions {
    for_any_file(options).read_only(true).immutable(true)
}

fn for_any_file(options: SqliteConnectOptions) -> SqliteConnectOptions {
    // As in PostgreSQL.
    options.pragma("case_sensitive_like", "ON")
}

/// A parameter of a PostgreSQL URL that the driver does not know. The driver would ignore it and log its value, which
/// may be a secret.
pub(crate) fn unknown_parameter(url: &str) -> Option<String> {
    const KNOWN: [&str; 18] = [
        "application_name",
        "dbname",
        "host",
        "hostaddr",
        "options",
        "password",
        "port",
        "ssl-ca",
        "ssl-cert",
        "ssl-key",
        "ssl-mode",
        "ssl-root-cert",
        "sslcert",
        "sslkey",
        "sslmode",
        "sslrootcert",
        "statement-cache-capacity",
        "user",
    ];
    let url = url::Url::parse(url).ok()?;
    let is_known = |name: &str| KNOWN.contains(&name) || name.starts_with("options[");
    url.query_pairs().map(|(name, _)| name.into_owned()).find(|name| !is_known(name))
}

/// Which of the files for TLS that a PostgreSQL URL names cannot be used, and why. What is in it is not read.
pub(crate) fn missing_file(url: &str) -> Option<String> {
    let url = url::Url::parse(url).ok()?;
    url.query_pairs().find_map(|(name, file)| {
        let is_file = matches!(
            &*name,
            "ssl-ca" | "ssl-cert" | "ssl-key" | "ssl-root-cert" | "sslcert" | "sslkey" | "sslrootcert"
        );
        if !is_file || file.trim().starts_with("-----BEGIN") {
            return None;
        }
        match std::fs::metadata(&*file) {
            Ok(file) if file.is_dir() => Some(format!("`{name}` names a directory")),
            Ok(_) => None,
            Err(error) => Some(format!("the file that `{name}` names cannot be used: {error}")),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::unknown_parameter;

    #[test]
    fn parameters_that_the_driver_would_log_are_refused() {
        for (query, unknown) in [
            ("", None),
            ("?sslmode=require&options[search_path]=a", None),
            ("?user=a&password=b", None),
            ("?sslpassword=a", Some("sslpassword")),
            ("?user=a&PASSWORD=b", Some("PASSWORD")),
        ] {
            let url = format!("postgres://u@h/db{query}");
            assert_eq!(unknown_parameter(&url).as_deref(), unknown, "{query}");
        }
    }
}
