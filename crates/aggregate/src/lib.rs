//! Load, decide, append: how a command takes effect on one stream. Loads an [`Aggregate`], asks for a decision,
//! appends the decided events, and repeats all of this when another process appended in between. Knows no HTTP and no
//! role.
//!
//! [`Repository`] loads and appends; [`Repository::execute`] is the whole loop. A caller that needs another loop uses
//! [`Conflicts`]. [`testing`] is for tests of decisions: `given(events).when(decision).then(events)`.

mod append;
mod conflict;
mod error;
mod execute;
mod loaded;
mod record_reader;
mod repository;
mod snapshot_table;
mod snapshots;
mod state_cache;
pub mod testing;

pub use append::{Append, Appended, Written, append};
pub use conflict::{Conflicts, GivenUp};
pub use error::{ExecuteError, RepositoryError};
pub use events::Aggregate;
pub use execute::Executed;
pub use loaded::Loaded;
pub use repository::Repository;
pub use snapshot_table::{SnapshotSql, SnapshotTable};
pub use snapshots::Snapshots;
