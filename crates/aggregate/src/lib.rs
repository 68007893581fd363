//! Load, decide, append: how a command takes effect on one stream. Loads an [`Aggregate`], asks for a decision, appends what
//! was decided, and does all of it again when somebody else appended in between. Knows no HTTP and no role.
//!
//! [`Repository`] does the whole of it. Who needs more than that, such as turns or snapshots, uses [`append()`], [`StateCache`]
//! and [`Conflicts`]. [`testing`] tells decisions as stories: `given(events).when(decision).then(events)`.

mod append;
mod conflict;
mod error;
mod loaded;
mod read_on;
mod repository;
mod snapshot_table;
mod snapshots;
mod state_cache;
pub mod testing;

pub use append::{Append, Appended, Written, append};
pub use conflict::{Conflicts, GivenUp};
pub use error::{ExecuteError, RepositoryError};
pub use events::Aggregate;
pub use loaded::Loaded;
pub use read_on::read_on;
pub use repository::{Executed, Repository};
pub use snapshot_table::{SnapshotSql, SnapshotTable};
pub use snapshots::Snapshots;
pub use state_cache::StateCache;
