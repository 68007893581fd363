//! States of long streams that are kept outside of the log, so that nobody folds a long stream from its beginning. Each can be
//! deleted at any time, and none is trusted before its last event was found in the log.

use async_trait::async_trait;
use events::Aggregate;

use crate::Loaded;

/// Where the states of the aggregates of one kind are kept.
#[async_trait]
pub trait Snapshots<A: Aggregate>: Send + Sync {
    /// What was kept last of `id`; nothing when that cannot be had soon.
    async fn find(&self, id: &A::Id) -> Option<Loaded<A>>;

    /// Keeps `loaded` in place of what was kept before, or does not.
    async fn put(&self, id: &A::Id, loaded: &Loaded<A>);
}
