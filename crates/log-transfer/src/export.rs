//! Writes the log into a file, or continues a file that was interrupted.

use std::{
    fs::File,
    io::{self, BufReader, Seek as _, SeekFrom, Write},
};

use event_store::{EventStore, MissingPositions, StoreError, StoredEvents};
use events::StoredEvent;

use crate::{End, ExportedEvent, Line, ReadError, Reader, summary::Summary};

/// The number of events between two progress reports.
const TOLD_INTERVAL: u64 = 2_000;

/// Why an export failed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant has its message")]
pub enum ExportError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the export cannot be written: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the file has another export, {0}: it is left as it is, name another file")]
    Another(String),
}

/// An export that is being written.
#[derive(Debug)]
pub struct Export {
    after: i64,
    summary: Summary,
    /// Ranges of positions that have no event, although positions of this store have no gaps.
    pub missing: Vec<std::ops::RangeInclusive<u64>>,
}

impl Export {
    /// Creates an export of the events after the position `after`.
    pub fn after(after: u64) -> Self {
        Self { after: signed(after), summary: Summary::default(), missing: Vec::new() }
    }

    /// Continues `file`, an export of the events after the position `after`: compares every line with the log, and
    /// ignores the end and an incomplete line. Afterwards `file` is at the place of the next line. `progress` gets
    /// the position of the last compared event.
    ///
    /// # Errors
    /// When `file` is not an export, is one of another log, goes on beyond the position `to`, or was changed. The file
    /// is not changed.
    pub async fn resume(
        file: &mut File,
        after: u64,
        to: u64,
        store: &dyn EventStore,
        mut progress: impl FnMut(u64),
    ) -> Result<Self, ExportError> {
        let mut reader = Reader::new(BufReader::new(&mut *file));
        let mut log = StoredEvents::new(store, signed(after), i64::MAX);
        let (mut whole, mut missing) = (0, Vec::new());
        let mut gaps = MissingPositions::after(store, after);
        while let Some(line) = reader.next_line()? {
            match line {
                Line::Event(event) => {
                    let position = event.event.position;
                    let there = log.next().await?;
                    if !there.is_some_and(|there| is_line_of(*event, &there)) {
                        let number = reader.line_number();
                        let what = format!("whose line {number} is not the next event of this log");
                        return Err(ExportError::Another(what));
                    }
                    whole = reader.offset();
                    missing.extend(gaps.before(unsigned(position)));
                    if reader.line_number().is_multiple_of(TOLD_INTERVAL) {
                        progress(unsigned(position));
                    }
                }
                Line::End(end) if end.after != signed(after) => {
                    let what = format!("of the events after position {}", end.after);
                    return Err(ExportError::Another(what));
                }
                Line::End(_) => {}
            }
        }
        if !reader.is_line_broken_off() {
            return Err(ExportError::Another("or something else".to_owned()));
        }
        let summary = reader.into_summary();
        let last = summary.position(signed(after));
        if last > signed(to) {
            return Err(ExportError::Another(format!("which goes on to position {last}")));
        }
        file.set_len(whole)?;
        file.seek(SeekFrom::Start(whole))?;
        Ok(Self { after: signed(after), summary, missing })
    }

    /// Writes the events up to the position `to` and the end. `progress` gets the position of the last written event.
    ///
    /// # Errors
    /// When the log cannot be read, or `out` cannot be written.
    pub async fn write(
        &mut self,
        store: &dyn EventStore,
        to: u64,
        out: &mut impl Write,
        mut progress: impl FnMut(u64),
    ) -> Result<End, ExportError> {
        let begun = self.summary.position(self.after);
        let mut gaps = MissingPositions::after(store, unsigned(begun));
        let mut log = StoredEvents::new(store, begun, signed(to));
        while let Some(event) = log.next().await? {
            self.missing.extend(gaps.before(unsigned(event.position)));
            self.summary.write(&event, out)?;
            if self.summary.events().is_multiple_of(TOLD_INTERVAL) {
                progress(unsigned(event.position));
            }
        }
        progress(unsigned(self.summary.position(self.after)));
        Ok(self.summary.write_end(self.after, out)?)
    }
}

/// Whether the line shows all that the log has of the event. The file may still have a payload that the log has
/// dropped since.
fn is_line_of(line: ExportedEvent, event: &StoredEvent) -> bool {
    let is_same = line.event.canonical() == event.canonical();
    let shows = |line: StoredEvent| line.data.whole().is_some() || event.data.whole().is_none();
    is_same && line.stored().is_some_and(shows)
}

pub(crate) fn signed(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

fn unsigned(position: i64) -> u64 {
    u64::try_from(position).unwrap_or(0)
}
