//! SQL behind one enum: PostgreSQL or SQLite, one text per statement, in the dialect that both share.
//!
//! A [`Database`] is one schema of one server, or one SQLite file. Parameters are [`Value`]s, rows are read by column
//! name. This crate knows nothing of the stored data. No operation waits without a deadline.

mod database;
mod database_file;
mod deletion;
mod dialect;
mod embedded_migrations;
mod error;
mod forgetting;
mod lock_session;
mod manager;
mod migrations;
mod parameters;
mod pool;
mod pool_metrics;
mod pooled_connection;
mod pools;
mod priority;
mod probe;
mod process_lock;
mod readable;
mod row;
mod schema;
mod session;
mod settings;
mod signal;
mod statement_timeout;
mod transaction;
mod value;
mod wal;

pub use database::Database;
pub use dialect::Dialect;
pub use error::DatabaseError;
pub use forgetting::Forgetting;
pub use lock_session::{LockMode, LockName, LockSession, WatchedLock};
pub use parameters::{list_parameter, placeholders};
pub use pool::PostgresServer;
pub use pooled_connection::PooledConnection;
pub use probe::WriteProbe;
pub use process_lock::ProcessLock;
pub use readable::{left_out, readable, readable_page};
pub use row::{Column, Row};
pub use schema::Schema;
pub use signal::Signals;
pub use statement_timeout::StatementTimeout;
pub use transaction::Transaction;
pub use value::Value;
