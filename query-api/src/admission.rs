//! Admits queries to the database: no caller gets more than a fair share of the connections, and costly queries never
//! take all of them.
//!
//! Each caller has a queue, so that a caller with many queries only delays their own. Queries that wait for the
//! projection use no connection; their number is limited separately.

use std::{sync::Arc, time::Duration};

use events::UserId;
use runtime::{KeyedPermit, KeyedSemaphore, NoKeyedPermit};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// The most queries of one caller that run or wait, of each kind. More are refused at once.
const MAX_IN_FLIGHT: usize = 64;
/// The most queries of all callers that wait for the projection at the same time. More are refused at once, so that
/// during a delay of the projection there are places for requests that need not wait.
const MAX_AWAITING: usize = 1_024;
/// How long a query waits for its turn.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The approximate cost of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cost {
    /// A range of an index.
    Ordinary,
    /// All tasks of the caller: a search, a count.
    High,
    /// The next events of a stream. There may be far more streams than requests, and each commit wakes many of them.
    Stream,
}

/// This caller, or all callers together, have too many queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many queries at the same time")]
pub(crate) struct Overloaded;

/// Lets queries in.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    ordinary: Class,
    costly: Class,
    streams: Class,
    awaiting: Class,
    patience: Duration,
}

impl From<NoKeyedPermit> for Overloaded {
    fn from(_: NoKeyedPermit) -> Self {
        Self
    }
}

/// The permits of a running query.
#[derive(Debug)]
pub(crate) struct Admitted {
    // Dropped in this order: a query that gets the caller's permit then finds one of the class.
    _of_class: OwnedSemaphorePermit,
    _of_caller: KeyedPermit<UserId>,
}

impl Admission {
    /// Creates the limits for a pool of this many connections.
    pub(crate) fn new(connections: usize) -> Self {
        Self {
            ordinary: Class::new(connections, connections / 2),
            costly: Class::new(connections / 4, connections / 8),
            streams: Class::new(connections / 4, 1),
            awaiting: Class::new(MAX_AWAITING, MAX_IN_FLIGHT),
            patience: TIMEOUT,
        }
    }

    /// Waits for the turn of a query of `caller`.
    pub(crate) async fn admit(&self, caller: UserId, cost: Cost) -> Result<Admitted, Overloaded> {
        let class = match cost {
            Cost::Ordinary => &self.ordinary,
            Cost::High => &self.costly,
            Cost::Stream => &self.streams,
        };
        class.admit(caller, self.patience).await
    }

    /// A place for `caller` to wait for the projection, held while waiting. It is given at once or not at all, and is
    /// independent of the connections.
    ///
    /// # Errors
    /// When too many of the caller's requests wait already, or too many of all callers.
    pub(crate) fn await_projection(&self, caller: UserId) -> Result<Admitted, Overloaded> {
        self.awaiting.admit_now(caller)
    }
}

/// Queries of one kind.
#[derive(Debug, Clone)]
struct Class {
    all: Arc<Semaphore>,
    callers: KeyedSemaphore<UserId>,
}

impl Class {
    fn new(all: usize, each: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all.max(1))),
            callers: KeyedSemaphore::new(each.max(1), MAX_IN_FLIGHT),
        }
    }

    /// Both queues are fair. The semaphores are never closed.
    async fn admit(&self, caller: UserId, patience: Duration) -> Result<Admitted, Overloaded> {
        let admit = async {
            let of_caller = self.callers.take(caller, patience).await?;
            let of_class = Arc::clone(&self.all).acquire_owned().await;
            Ok(Admitted { _of_class: of_class.map_err(|_| Overloaded)?, _of_caller: of_caller })
        };
        timeout(patience, admit).await.map_err(|_| Overloaded)?
    }

    fn admit_now(&self, caller: UserId) -> Result<Admitted, Overloaded> {
        let of_caller = self.callers.try_take(caller)?;
        let of_class = Arc::clone(&self.all).try_acquire_owned();
        Ok(Admitted { _of_class: of_class.map_err(|_| Overloaded)?, _of_caller: of_caller })
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, future::join_all};
    use uuid::Uuid;

    use super::*;

    const GREEDY: UserId = UserId(Uuid::from_u128(1));
    const HONEST: UserId = UserId(Uuid::from_u128(2));

    /// The number of queries that are admitted at once.
    fn at_once(admission: &Admission, caller: UserId, cost: Cost, queries: usize) -> Vec<Admitted> {
        (0..queries).filter_map(|_| admission.admit(caller, cost).now_or_never()?.ok()).collect()
    }

    #[tokio::test]
    async fn one_caller_leaves_connections_to_the_others() {
        let admission = Admission::new(8);
        let pages = at_once(&admission, GREEDY, Cost::Ordinary, 20);
        let searches = at_once(&admission, GREEDY, Cost::High, 20);
        assert_eq!((pages.len(), searches.len()), (4, 1));
        assert_eq!(at_once(&admission, HONEST, Cost::Ordinary, 1).len(), 1);
        assert_eq!(at_once(&admission, HONEST, Cost::High, 1).len(), 1);
    }

    #[tokio::test]
    async fn the_searches_of_many_leave_connections_to_the_others() {
        let admission = Admission::new(8);
        let searches: Vec<_> =
            (10..30).flat_map(|n| at_once(&admission, UserId(Uuid::from_u128(n)), Cost::High, 1)).collect();
        assert_eq!(searches.len(), 2);
        assert_eq!(at_once(&admission, HONEST, Cost::Ordinary, 1).len(), 1);
    }

    #[tokio::test]
    async fn the_streams_of_many_leave_connections_to_the_others() {
        let admission = Admission::new(8);
        let streams: Vec<_> =
            (10..30).flat_map(|n| at_once(&admission, UserId(Uuid::from_u128(n)), Cost::Stream, 1)).collect();
        assert_eq!(streams.len(), 2);
        for cost in [Cost::Ordinary, Cost::High] {
            assert_eq!(at_once(&admission, HONEST, cost, 1).len(), 1);
        }
    }

    #[tokio::test]
    async fn a_small_pool_serves_everybody_one_by_one() {
        let admission = Admission::new(1);
        let first = at_once(&admission, GREEDY, Cost::High, 2);
        assert_eq!(first.len(), 1);
        drop(first);
        assert_eq!(at_once(&admission, HONEST, Cost::High, 1).len(), 1);
    }

    #[tokio::test]
    async fn whoever_is_not_let_in_in_time_is_turned_away_and_forgotten() {
        let admission = Admission { patience: Duration::from_millis(20), ..Admission::new(8) };
        let at_work = at_once(&admission, GREEDY, Cost::High, 1);
        let waiting = join_all((0..2 * MAX_IN_FLIGHT).map(|_| admission.admit(GREEDY, Cost::High))).await;
        assert!(waiting.iter().all(Result::is_err));
        assert_eq!(at_once(&admission, HONEST, Cost::High, 1).len(), 1);
        drop(at_work);
        assert!(admission.costly.callers.is_unused());
        assert_eq!(at_once(&admission, GREEDY, Cost::High, 1).len(), 1);
    }

    #[test]
    fn those_who_wait_for_the_projection_are_bounded_for_each_caller_and_in_all() {
        let admission = Admission::new(8);
        let waiting = |caller: UserId, requests: usize| -> Vec<_> {
            (0..requests).filter_map(|_| admission.await_projection(caller).ok()).collect()
        };
        let greedy = waiting(GREEDY, 2 * MAX_IN_FLIGHT);
        assert_eq!(greedy.len(), MAX_IN_FLIGHT);
        assert_eq!(waiting(HONEST, 1).len(), 1);
        let crowd: Vec<_> =
            (10..100).flat_map(|n| waiting(UserId(Uuid::from_u128(n)), MAX_IN_FLIGHT)).collect();
        assert_eq!(crowd.len(), MAX_AWAITING - MAX_IN_FLIGHT);
        assert!(admission.await_projection(HONEST).is_err());
        drop(greedy);
        assert_eq!(waiting(HONEST, 1).len(), 1);
        drop(crowd);
        assert!(admission.awaiting.callers.is_unused());
    }

    #[tokio::test]
    async fn more_than_may_wait_are_turned_away_at_once() {
        let admission = Admission::new(8);
        let mut queries: Vec<_> =
            (0..MAX_IN_FLIGHT).map(|_| Box::pin(admission.admit(GREEDY, Cost::High))).collect();
        let admitted: Vec<_> = queries.iter_mut().filter_map(|query| query.now_or_never()).collect();
        assert_eq!(admitted.len(), 1);
        let one_more = admission.admit(GREEDY, Cost::High).now_or_never();
        assert!(matches!(one_more, Some(Err(Overloaded))));
    }
}
