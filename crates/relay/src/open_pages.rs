//! Finds up to where the log is published without a gap, while parts of several pages are still being sent. Pure.

use std::collections::VecDeque;

use crate::partition_sequence::PartitionSequence;

/// The pages of the log, in order, from the first one that is not completely published.
#[derive(Debug)]
pub(crate) struct OpenPages {
    published: PartitionSequence,
    open: VecDeque<Page>,
    /// The number of the first open page.
    first: u64,
}

#[derive(Debug)]
struct Page {
    /// The state at the end of the page.
    end: PartitionSequence,
    /// The number of its batches that are not done.
    batches: usize,
}

impl OpenPages {
    /// No pages, with everything up to `start` published.
    pub(crate) fn new(start: PartitionSequence) -> Self {
        Self { published: start, open: VecDeque::new(), first: 0 }
    }

    /// The number that the next page will have.
    pub(crate) fn next(&self) -> u64 {
        self.first + self.open.len() as u64
    }

    /// Adds the next page, with this many batches.
    pub(crate) fn push(&mut self, end: PartitionSequence, batches: usize) {
        self.open.push_back(Page { end, batches });
        self.advance();
    }

    /// Records that one more batch of a page is done.
    pub(crate) fn done(&mut self, page: u64) {
        let index = page.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        if let Some(page) = index.and_then(|index| self.open.get_mut(index)) {
            page.batches = page.batches.saturating_sub(1);
        }
        self.advance();
    }

    /// The state up to which everything is published.
    pub(crate) fn published(&self) -> &PartitionSequence {
        &self.published
    }

    /// Whether no page is being sent.
    pub(crate) fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    fn advance(&mut self) {
        while let Some(page) = self.open.pop_front_if(|page| page.batches == 0) {
            self.published = page.end;
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use events::{LogPoint, PartitionCount};

    use super::*;

    fn at(position: u64) -> PartitionSequence {
        let point = LogPoint { position, id: None };
        PartitionSequence::after(PartitionCount::new(1).unwrap(), point)
    }

    #[test]
    fn what_is_published_ends_before_the_first_page_that_is_not_done() {
        let mut pages = OpenPages::new(at(5));
        for (end, batches) in [(10, 2), (20, 1), (30, 0)] {
            pages.push(at(end), batches);
        }
        assert_eq!(pages.published(), &at(5));
        pages.done(1);
        pages.done(0);
        assert_eq!(pages.published(), &at(5), "half of the first page is still being sent");
        assert!(!pages.is_idle());
        pages.done(0);
        assert_eq!(pages.published(), &at(30));
        assert!(pages.is_idle());
        assert_eq!(pages.next(), 3);
        pages.push(at(40), 1);
        pages.done(3);
        assert_eq!(pages.published(), &at(40));
    }
}
