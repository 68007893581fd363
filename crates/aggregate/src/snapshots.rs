//! Snapshots: stored states of long streams, which make it unnecessary to fold a long stream from its first event.
//! They can be deleted at any time. A snapshot is used only if the log has its last event.

use async_trait::async_trait;
use events::Aggregate;

use crate::Loaded;

/// The snapshots of the aggregates of one kind.
#[async_trait]
pub trait Snapshots<A: Aggregate>: Send + Sync {
    /// The stored snapshot of `id`; `None` when it cannot be read in time.
    async fn find(&self, id: &A::Id) -> Option<Loaded<A>>;

    /// Replaces the stored snapshot, if that is possible in time.
    async fn put(&self, id: &A::Id, loaded: &Loaded<A>);
}
