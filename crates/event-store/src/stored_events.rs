//! A part of the log as it is stored, page by page or event by event.

use std::{collections::VecDeque, mem};

use events::StoredEvent;

use crate::{EventStore, StoreError};

/// The most events that are read at once.
const PAGE: usize = 2_048;

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
    pub fn new(store: &'a dyn EventStore, after: i64, to: i64) -> Self {
        Self { store: Some(store), after, to, page: VecDeque::new() }
    }

    /// The next events, of which there is at least one; `None` after the last.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn next_page(&mut self) -> Result<Option<VecDeque<StoredEvent>>, StoreError> {
        self.fill().await?;
        Ok(Some(mem::take(&mut self.page)).filter(|page| !page.is_empty()))
    }

    /// The next event; `None` after the last.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn next(&mut self) -> Result<Option<StoredEvent>, StoreError> {
        self.fill().await?;
        Ok(self.page.pop_front())
    }

    /// Reads a page, unless events of the last one are left.
    async fn fill(&mut self) -> Result<(), StoreError> {
        if !self.page.is_empty() || self.after >= self.to {
            return Ok(());
        }
        let Some(store) = self.store else { return Ok(()) };
        let page = store.stored_page(self.after, PAGE).await?;
        let last = page.events.last().map(|event| event.position);
        self.after = last.filter(|_| page.more).unwrap_or(self.to);
        self.page = page.events.into();
        self.page.retain(|event| event.position <= self.to);
        Ok(())
    }
}
