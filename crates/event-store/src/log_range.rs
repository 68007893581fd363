//! A part of the log, page by page.

use crate::{EventStore, Page, StoreError, page::position};

/// Reads the records of the log between two positions, with at most one page in memory.
pub struct LogRange<'a> {
    store: &'a dyn EventStore,
    after: u64,
    to: u64,
    limit: usize,
}

impl<'a> LogRange<'a> {
    /// Reads the records with a position above `after`, up to `to`, with at most `limit` in a page.
    pub fn new(store: &'a dyn EventStore, after: u64, to: u64, limit: usize) -> Self {
        Self { store, after, to, limit }
    }

    /// The next page, which has at least one record; `None` after the last one, also when the log ends before `to`.
    ///
    /// # Errors
    /// As [`EventStore::log_page`].
    pub async fn next(&mut self) -> Result<Option<Page>, StoreError> {
        if self.after >= self.to {
            return Ok(None);
        }
        let mut page = self.store.log_page(self.after, self.limit).await?;
        self.after = page.position().unwrap_or(self.to);
        page.entries.retain(|entry| position(entry) <= self.to);
        Ok(Some(page).filter(|page| !page.entries.is_empty()))
    }
}
