//! What the commands of a person leave in the database of operations, and how it goes when the person is erased.
//!
//! Most of the tables are the command API's, and auth empties them: so what both must know stands here. A new table of operations
//! that says whose a row is gets its statement in `STATEMENTS`; a test compares them with the schema.

use database::{Database, DatabaseError};
use events::UserId;

/// Deletes the rows of the person `$1`, each with an index.
const STATEMENTS: [&str; 3] = [
    "DELETE FROM idempotency_keys WHERE owner = $1",
    "DELETE FROM task_snapshots WHERE owner = $1",
    "DELETE FROM account_snapshots WHERE owner = $1",
];

/// Deletes what the commands of `person` have left in `operations`: their idempotency keys with the answers that are kept
/// for them, and the snapshots of their tasks and of their account. Returns how many rows there were. Can be repeated.
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
