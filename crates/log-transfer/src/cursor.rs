//! The events of a store one after the other, to compare a file with.

use std::collections::VecDeque;

use event_store::{EventStore, StoreError};
use events::StoredEvent;

/// Events read at once.
const PAGE: usize = 1_000;

/// The events that a store has, up to a position.
#[derive(Default)]
pub(crate) struct Cursor<'a> {
    store: Option<&'a dyn EventStore>,
    after: i64,
    to: u64,
    page: VecDeque<StoredEvent>,
}

impl<'a> Cursor<'a> {
    /// Those after the position `after`, up to the position `to`.
    pub(crate) fn new(store: &'a dyn EventStore, after: i64, to: u64) -> Self {
        Self {
            store: Some(store),
            after,
            to,
            page: VecDeque::new(),
        }
    }

    pub(crate) async fn next(&mut self) -> Result<Option<StoredEvent>, StoreError> {
        let Some(store) = self.store else { return Ok(None) };
        if self.page.is_empty() && u64::try_from(self.after).is_ok_and(|after| after < self.to) {
            self.page = store.stored_page(self.after, PAGE).await?.events.into();
        }
        let next = self.page.pop_front();
        self.after = next.as_ref().map_or(self.after, |event| event.position);
        Ok(next)
    }
}
