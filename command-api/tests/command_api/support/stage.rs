//! What the replicas of one test share: databases, a bus and a clock.

use std::sync::Arc;

use test_support::{FaultyBus, Footing, TestClock, TestStorage};

pub(crate) struct Stage {
    pub(crate) storage: TestStorage,
    pub(crate) bus: Arc<FaultyBus>,
    pub(crate) clock: Arc<TestClock>,
}

impl Stage {
    pub(crate) async fn new(footing: Footing) -> Self {
        Self {
            storage: TestStorage::new(footing).await,
            bus: FaultyBus::new(),
            clock: Arc::new(TestClock::running()),
        }
    }

    pub(crate) async fn sqlite() -> Self {
        Self::new(Footing::Sqlite).await
    }
}
