//! SQL behind one enum: PostgreSQL or SQLite, one text per statement, in the dialect that both share.
//!
//! A [`Database`] is one schema of one server, or one SQLite file. Parameters are [`Value`]s, rows are read
//! by column name. It must not know what is stored in it.

mod database;
mod error;
mod exclusive;
mod migrations;
mod pool;
mod row;
mod signal;
mod transaction;
mod value;

pub use database::{Database, Pool, Schema, masked};
pub use error::DatabaseError;
pub use exclusive::Exclusive;
pub use pool::PostgresPool;
pub use row::{Column, Row};
pub use signal::Signals;
pub use transaction::Transaction;
pub use value::Value;
