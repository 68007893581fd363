//! The facts about the events of an export so far, in bounded memory.

use std::io::{self, Write};

use events::{EventDigest, StoredEvent};
use transparency_log::{Edge, Hash, entry_hash, leaf_hash};

use crate::{End, ExportedEvent};

/// The number of leaves that are added to the tree at once.
const LEAVES: usize = 1_024;

#[derive(Debug, Default)]
pub(crate) struct Summary {
    edge: Edge,
    leaves: Vec<Hash>,
    /// The position of the first event.
    pub(crate) first: Option<i64>,
    /// The position of the last event.
    last: Option<i64>,
}

impl Summary {
    pub(crate) fn push(&mut self, event: &EventDigest) {
        self.leaves.push(leaf_hash(&entry_hash(&event.canonical()).0));
        if self.leaves.len() >= LEAVES {
            self.edge.extend(self.leaves.drain(..));
        }
        self.first.get_or_insert(event.position);
        self.last = Some(event.position);
    }

    /// Writes the line of the next event.
    pub(crate) fn write(&mut self, event: &StoredEvent, out: &mut impl Write) -> io::Result<()> {
        let exported = ExportedEvent::whole(event);
        let mut line = serde_json::to_vec(&exported)?;
        line.push(b'\n');
        out.write_all(&line)?;
        self.push(&exported.event);
        Ok(())
    }

    /// Writes the end of an export of these events, which follow the position `after`.
    pub(crate) fn write_end(&mut self, after: i64, out: &mut impl Write) -> io::Result<End> {
        let end = self.end(after);
        writeln!(out, "{}", end.to_line())?;
        out.flush()?;
        Ok(end)
    }

    /// How many events there are.
    pub(crate) fn events(&self) -> u64 {
        self.edge.size() + self.leaves.len() as u64
    }

    /// The position of the last event, or `after` without one.
    pub(crate) fn position(&self, after: i64) -> i64 {
        self.last.unwrap_or(after)
    }

    /// The end of an export of these events, which follow the position `after`.
    pub(crate) fn end(&mut self, after: i64) -> End {
        self.edge.extend(self.leaves.drain(..));
        End {
            after,
            position: self.position(after),
            events: self.events(),
            root: self.edge.root().to_string(),
        }
    }
}
