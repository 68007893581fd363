//! The events of a log one after the other, as they are stored.

use std::collections::VecDeque;

use event_store::{EventStore, StoreError};
use events::StoredEvent;

/// The most events that are read at once.
const PAGE: usize = 2_000;

/// The stored events between two positions, with at most one page in memory.
#[derive(Default)]
pub struct StoredEvents<'a> {
    store: Option<&'a dyn EventStore>,
    after: i64,
    to: i64,
    page: VecDeque<StoredEvent>,
}

impl<'a> StoredEvents<'a> {
    /// Reads the events after the position `after`, up to the position `to`.
    #[must_use]
    pub fn new(store: &'a dyn EventStore, after: i64, to: u64) -> Self {
        Self {
            store: Some(store),
            after,
            to: i64::try_from(to).unwrap_or(i64::MAX),
            page: VecDeque::new(),
        }
    }

    /// The next one; `None` after the last.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn next(&mut self) -> Result<Option<StoredEvent>, StoreError> {
        if self.page.is_empty()
            && self.after < self.to
            && let Some(store) = self.store
        {
            let page = store.stored_page(self.after, PAGE).await?;
            if !page.more {
                self.store = None;
            }
            self.page = page.events.into();
        }
        let next = self.page.pop_front().filter(|event| event.position <= self.to);
        self.after = next.as_ref().map_or(self.to, |event| event.position);
        Ok(next)
    }
}
