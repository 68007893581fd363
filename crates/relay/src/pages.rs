//! How far the log is published without a gap, while parts of several pages of it are still on their way. Pure.

use std::collections::VecDeque;

use super::partition_sequence::PartitionSequence;

/// Pages of the log in their order, from the first that is not published whole.
#[derive(Debug)]
pub(crate) struct Pages {
    published: PartitionSequence,
    open: VecDeque<Page>,
    /// The number of the first open page.
    first: u64,
}

#[derive(Debug)]
struct Page {
    /// Where the page ends.
    end: PartitionSequence,
    /// Batches of it that are not done.
    batches: usize,
}

impl Pages {
    /// Everything up to `start` is published.
    pub(crate) fn new(start: PartitionSequence) -> Self {
        Self {
            published: start,
            open: VecDeque::new(),
            first: 0,
        }
    }

    /// The number that the next page will have.
    pub(crate) fn next(&self) -> u64 {
        self.first + self.open.len() as u64
    }

    /// Adds the next page, of so many batches.
    pub(crate) fn push(&mut self, end: PartitionSequence, batches: usize) {
        self.open.push_back(Page { end, batches });
        self.advance();
    }

    /// One more batch of a page is done.
    pub(crate) fn done(&mut self, page: u64) {
        let index = page
            .checked_sub(self.first)
            .and_then(|index| usize::try_from(index).ok());
        if let Some(page) = index.and_then(|index| self.open.get_mut(index)) {
            page.batches = page.batches.saturating_sub(1);
        }
        self.advance();
    }

    /// Up to where everything is published.
    pub(crate) fn published(&self) -> &PartitionSequence {
        &self.published
    }

    /// Whether nothing is on its way.
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
        let mut pages = Pages::new(at(5));
        for (end, batches) in [(10, 2), (20, 1), (30, 0)] {
            pages.push(at(end), batches);
        }
        assert_eq!(pages.published(), &at(5));
        pages.done(1);
        pages.done(0);
        assert_eq!(pages.published(), &at(5), "half of the first page is on its way");
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
