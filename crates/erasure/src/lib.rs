//! Deletes the data of a person's commands from the database of operations when the person is erased.
//!
//! Most of these tables belong to the command API, and auth deletes from them, so the statements are shared here. A
//! new table of operations with a column for the owner needs a statement in `STATEMENTS`; a test compares them with
//! the schema.

use database::{Database, DatabaseError};
use events::UserId;

/// Deletes the rows of the person `$1`, each with an index.
const STATEMENTS: [&str; 3] = [
    "DELETE FROM idempotency_keys WHERE owner = $1",
    "DELETE FROM task_snapshots WHERE owner = $1",
    "DELETE FROM account_snapshots WHERE owner = $1",
];

/// Deletes the idempotency keys of `person` with their stored answers, and the snapshots of their tasks and of their
/// account. Returns the number of deleted rows. Can be repeated.
///
/// # Errors
/// When the database fails.
pub async fn forget_commands(operations: &Database, person: UserId) -> Result<u64, DatabaseError> {
    let mut deleted = 0;
    for sql in STATEMENTS {
        deleted += operations.execute(sql, &[person.0.into()]).await?;
    }
    Ok(deleted)
}
