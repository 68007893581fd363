//! The connection pools of one database.

use std::{path::Path, str::FromStr as _};

use runtime::masked;
use sqlx::{
    postgres::{PgConnectOptions, PgSslMode},
    sqlite::SqliteConnectOptions,
};

use crate::{
    DatabaseError, Schema,
    database_file::{DatabaseFile, is_in_use, is_read_only},
    manager::Options,
    pool::Connections,
    priority::Priority,
    settings::{for_all, for_file, for_read_only_file, missing_file, unknown_parameter},
};

/// Where statements are run.
#[derive(Debug)]
pub(crate) struct Pools {
    pub(crate) reads: Connections,
    /// Reads that give way to others. The same pool in PostgreSQL, and for a file that cannot be written.
    pub(crate) low_priority_reads: Connections,
    /// The same pool in PostgreSQL, and for a file that cannot be written. SQLite allows one writer at a time, so there
    /// is one connection for which writers queue.
    pub(crate) writes: Connections,
    /// A SQLite file that can be written.
    pub(crate) file: Option<DatabaseFile>,
}

impl Pools {
    /// The pools for `url`, with at most `connections` for what reads. Nothing is connected yet.
    pub(crate) fn for_url(url: &str, schema: Schema, connections: u32) -> Result<Self, DatabaseError> {
        match parse(url)? {
            Options::Postgres(options) => Self::on_server(*options, schema, connections),
            Options::Sqlite(options, _) => Self::in_file(url, *options, schema, connections),
        }
    }

    fn on_server(options: PgConnectOptions, schema: Schema, connections: u32) -> Result<Self, DatabaseError> {
        let options = Options::Postgres(Box::new(for_all(options, schema)));
        let pool = Connections::new("postgres".to_owned(), options, connections)?;
        Ok(Self { reads: pool.clone(), low_priority_reads: pool.clone(), writes: pool, file: None })
    }

    fn in_file(
        url: &str,
        options: SqliteConnectOptions,
        schema: Schema,
        connections: u32,
    ) -> Result<Self, DatabaseError> {
        let file = options.get_filename().to_owned();
        if is_read_only(&file) {
            return Self::in_read_only_file(url, &file, options, connections);
        }
        let file = DatabaseFile::open(file)
            .map_err(|error| DatabaseError::Connect { url: masked(url), source: sqlx::Error::Io(error) })?;
        let name = file.path.file_name().unwrap_or_default().to_string_lossy();
        let name = |purpose: &str| format!("{name}, {purpose}");
        let options = Box::new(for_file(options, schema));
        let pool = |purpose, priority, connections| {
            let options = Options::Sqlite(options.clone(), priority);
            Connections::new(name(purpose), options, connections)
        };
        Ok(Self {
            reads: pool("readers", Priority::Normal, connections)?,
            low_priority_reads: pool("readers of low priority", Priority::Low, connections)?,
            writes: pool("writer", Priority::Normal, 1)?,
            file: Some(file),
        })
    }

    /// For commands that only look. Others are refused when they migrate the schema, or when they write.
    fn in_read_only_file(
        url: &str,
        file: &Path,
        options: SqliteConnectOptions,
        connections: u32,
    ) -> Result<Self, DatabaseError> {
        if is_in_use(file) {
            return Err(DatabaseError::InUseInReadOnlyDirectory { url: masked(url) });
        }
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let options = Options::Sqlite(Box::new(for_read_only_file(options)), Priority::Normal);
        let pool = Connections::new(format!("{name}, readers"), options, connections)?;
        Ok(Self { reads: pool.clone(), low_priority_reads: pool.clone(), writes: pool, file: None })
    }
}

/// The most common reason why the URL of a server cannot be parsed.
const ENCODED: &str = "characters such as #, /, ? and @ in a user or a password have to be percent-encoded, as %23, %2F, %3F and %40";

/// Reads a URL.
pub(crate) fn parse(url: &str) -> Result<Options, DatabaseError> {
    let malformed = |error: sqlx::Error| refused(url, error.to_string());
    match url.split_once(':') {
        Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => match unknown_parameter(url) {
            Some(name) => Err(refused(url, format!("there is no parameter `{name}`"))),
            None => {
                if let Err(error) = url::Url::parse(url) {
                    return Err(refused(url, format!("{error}; {ENCODED}")));
                }
                let options = PgConnectOptions::from_str(url).map_err(malformed)?;
                // The server would take the user's name, and the schemas would be made in somebody else's database.
                if options.get_database().is_none_or(str::is_empty) {
                    let expected = "it names no database: expected postgres://user:password@host/database";
                    return Err(refused(url, expected));
                }
                Ok(Options::Postgres(Box::new(options)))
            }
        },
        Some(("sqlite", _)) => {
            let options = SqliteConnectOptions::from_str(url).map_err(malformed)?;
            Ok(Options::Sqlite(Box::new(options), Priority::Normal))
        }
        _ => {
            let expected = "expected postgres://user:password@host/database or sqlite:path";
            Err(refused(url, expected))
        }
    }
}

/// Reads a URL, and looks whether the files are there which it names.
pub(crate) fn check(url: &str) -> Result<(), DatabaseError> {
    match parse(url)? {
        Options::Postgres(options) => match options.get_ssl_mode() {
            PgSslMode::Require | PgSslMode::VerifyCa | PgSslMode::VerifyFull => match missing_file(url) {
                Some(reason) => Err(refused(url, reason)),
                None => Ok(()),
            },
            // The driver may do without TLS, and without its files.
            PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Prefer => Ok(()),
        },
        Options::Sqlite(options, _) if options.get_filename().is_dir() => {
            Err(refused(url, "that is a directory, and has to be a file"))
        }
        Options::Sqlite(..) => Ok(()),
    }
}

fn refused(url: &str, reason: impl Into<String>) -> DatabaseError {
    DatabaseError::Url { url: masked(url), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::{check, parse};

    #[test]
    fn a_missing_file_counts_where_the_driver_insists_on_tls() {
        for (query, is_missing) in [
            ("?sslmode=verify-full&sslrootcert=/absent.pem", true),
            ("?sslcert=/absent.pem&sslmode=require", true),
            ("?sslkey=/&sslmode=VERIFY-CA", true),
            ("?sslmode=require&sslrootcert=-----BEGIN CERTIFICATE-----", false),
            ("?sslmode=require&sslrootcert=/dev/null", false),
            ("?sslmode=disable&sslrootcert=/absent.pem", false),
            ("?sslmode=prefer&sslrootcert=/absent.pem", false),
        ] {
            let checked = check(&format!("postgres://u@h/db{query}"));
            assert_eq!(checked.is_err(), is_missing, "{query}: {checked:?}");
        }
    }

    #[test]
    fn a_url_of_postgres_has_a_host() {
        for url in ["postgres:/u:hush@h/db", "postgres:u:hush@h/db"] {
            let refused = parse(url).unwrap_err().to_string();
            assert!(refused.contains("expected postgres://") && !refused.contains("hush"), "{refused}");
        }
        parse("postgres://u:hush@h/db").unwrap();
    }

    #[test]
    fn a_url_of_postgres_names_a_database() {
        for url in ["postgres://", "postgres://u:hush@h", "postgresql://u:hush@h/?sslmode=disable"] {
            let refused = parse(url).unwrap_err().to_string();
            assert!(refused.contains("names no database") && !refused.contains("hush"), "{refused}");
        }
        parse("postgres:///?host=/run/postgresql&dbname=taskledger").unwrap();
    }
}
