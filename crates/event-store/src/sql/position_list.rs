//! Passes any number of positions as one parameter of a statement.

use database::{Database, Value};

/// The SQL condition that a position is in the [`list`] `$1`. One statement serves any number of positions.
pub(super) fn one_of(database: &Database) -> &'static str {
    if database.is_postgres() {
        "= ANY ($1::text::bigint[])"
    } else {
        "IN (SELECT value FROM json_each($1))"
    }
}

/// Encodes positions as one parameter.
pub(super) fn list(database: &Database, positions: impl Iterator<Item = i64>) -> Value {
    let list: Vec<String> = positions.map(|position| position.to_string()).collect();
    let list = list.join(",");
    Value::from(if database.is_postgres() {
        format!("{{{list}}}")
    } else {
        format!("[{list}]")
    })
}
