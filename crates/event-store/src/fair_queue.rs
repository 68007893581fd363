//! The queue of waiting appends. Each subject has its own queue, and the subjects take turns, so that a busy one only
//! delays itself.

use std::collections::{HashMap, VecDeque};

use events::UserId;

use crate::append::Append;

/// Appends in the order in which they are to be committed.
#[derive(Debug, Default)]
pub(crate) struct FairQueue {
    lines: HashMap<UserId, VecDeque<Append>>,
    /// The subjects with waiting appends, the next one first.
    turns: VecDeque<UserId>,
    len: usize,
    bytes: usize,
}

impl FairQueue {
    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many bytes wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn push(&mut self, append: Append) {
        self.len += 1;
        self.bytes += append.bytes();
        let line = self.lines.entry(append.subject).or_default();
        if line.is_empty() {
            self.turns.push_back(append.subject);
        }
        line.push_back(append);
    }

    pub(crate) fn pop(&mut self) -> Option<Append> {
        let subject = self.turns.pop_front()?;
        let line = self.lines.get_mut(&subject)?;
        let append = line.pop_front()?;
        if line.is_empty() {
            self.lines.remove(&subject);
        } else {
            self.turns.push_back(subject);
        }
        self.len -= 1;
        self.bytes -= append.bytes();
        Some(append)
    }
}
