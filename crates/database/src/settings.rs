//! The settings of every connection: what the statements rely on, whatever the server's defaults.

use std::time::Duration;

use sqlx::{
    postgres::PgConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use crate::Schema;

/// How PostgreSQL is to plan. Every statement here has an index for its conditions and its order, and reading along it is
/// right whatever the numbers, so a plan is made once for each statement: planning takes longer than most statements.
/// Left to its statistics, PostgreSQL would sort all tasks of somebody who has far more than the average person, and
/// would read whole tables for ever because they were empty when the plan was made.
const PLANNING: [(&str, &str); 4] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_sort", "off"),
    ("enable_seqscan", "off"),
    ("jit", "off"),
];

/// The server notices within 10 seconds when the machine at the other end is gone without a farewell, and gives up
/// what its transactions had locked: others wait for a checkpoint, or to be the relay.
const KEEP_ALIVE: [(&str, &str); 4] = [
    ("tcp_keepalives_idle", "4"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "10000"),
];

/// A client that stands still, whose kernel goes on answering for it, holds what it has locked no longer than this, and whoever
/// waits for that goes on within 15 seconds.
/// [`StatementTimeout`] sets another `statement_timeout` for what takes longer.
const DEADLINES: [(&str, &str); 3] = [
    ("statement_timeout", "15s"),
    ("lock_timeout", "10s"),
    ("idle_in_transaction_session_timeout", "10s"),
];

/// What the statements rely on, whatever the server's defaults.
const SYNTAX: [(&str, &str); 1] = [("standard_conforming_strings", "on")];

/// How long SQLite waits for others who have a file locked.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// The same as a statement.
pub(crate) const WAIT: &str = "PRAGMA busy_timeout = 10000";
/// For what can be done another time.
pub(crate) const WAIT_A_MOMENT: &str = "PRAGMA busy_timeout = 50";

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
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(match schema {
            // A lost tail is read again from the log.
            Schema::ReadModels | Schema::ReadModelsShadow | Schema::ReadModelsPrevious => {
                SqliteSynchronous::Normal
            }
            Schema::EventStore | Schema::SubjectKeys | Schema::Operations | Schema::AuditTree => {
                SqliteSynchronous::Full
            }
        })
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        // As in PostgreSQL.
        .pragma("case_sensitive_like", "ON");
    if schema == Schema::SubjectKeys {
        // What was deleted is overwritten with zeros: a key that was destroyed is in no corner of its file.
        return options.pragma("secure_delete", "ON");
    }
    options
}

/// A parameter of a PostgreSQL URL that the driver does not know. It would ignore it, and log it with its value, which may
/// be a secret.
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
    url.query_pairs()
        .map(|(name, _)| name.into_owned())
        .find(|name| !is_known(name))
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
