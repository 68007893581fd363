//! Some events of the log in a file, in the format of an export: written once, read again from its end backwards.

use std::{
    fs::File,
    io::{BufReader, Seek as _, SeekFrom, Write},
};

use event_store::EventStore;
use events::{EventDigest, StoredEvent};

use crate::{End, ExportError, ReadError, Reader, summary::Summary};

/// Events read at once from the log.
const PAGE: usize = 2_000;
/// Events of a part.
const PART: u64 = 256;

/// Writes those events of the log up to the position `to` that are `wanted`, and the end. `progress` is told the position that was
/// reached.
///
/// # Errors
/// When the log cannot be read, or `out` not be written.
pub async fn write_excerpt(
    store: &dyn EventStore,
    to: u64,
    out: &mut impl Write,
    wanted: impl Fn(&StoredEvent) -> bool,
    mut progress: impl FnMut(u64),
) -> Result<End, ExportError> {
    let to = i64::try_from(to).unwrap_or(i64::MAX);
    let (mut summary, mut after) = (Summary::default(), 0);
    loop {
        let page = store.stored_page(after, PAGE).await?;
        for event in page.events.iter().filter(|event| event.position <= to) {
            after = event.position;
            if wanted(event) {
                summary.write(event, out)?;
            }
        }
        progress(u64::try_from(after).unwrap_or_default());
        if !page.more || page.events.last().is_none_or(|last| last.position >= to) {
            break;
        }
    }
    Ok(summary.write_end(0, out)?)
}

/// A whole excerpt in a file, in parts of a few hundred events.
#[derive(Debug)]
pub struct Excerpt {
    file: File,
    /// Where each part begins.
    parts: Vec<u64>,
    end: End,
}

impl Excerpt {
    /// Reads all of an excerpt and checks it, every hash in it among the rest. `check` may refuse an event, with a reason.
    ///
    /// # Errors
    /// When it is not whole, or an event is refused or does not show all that was stored.
    pub fn open(
        mut file: File,
        mut check: impl FnMut(&EventDigest) -> Result<(), String>,
    ) -> Result<Self, ReadError> {
        file.rewind()?;
        let mut reader = Reader::new(BufReader::new(file.try_clone()?));
        let mut parts = Vec::new();
        loop {
            let (begins, number) = (reader.offset(), reader.line_number());
            let Some(event) = reader.next_event()? else { break };
            let shows_all = !event.data_dropped && !event.is_withheld();
            let checked = match shows_all {
                true => check(&event.event),
                false => Err("it does not show its payload".to_owned()),
            };
            checked.map_err(|reason| ReadError::Line {
                number: number + 1,
                reason,
            })?;
            if number.is_multiple_of(PART) {
                parts.push(begins);
            }
        }
        let lines = reader.line_number();
        let end = reader.end().cloned().ok_or(ReadError::Unfinished { lines })?;
        Ok(Self { file, parts, end })
    }

    /// Its end.
    #[must_use]
    pub const fn end(&self) -> &End {
        &self.end
    }

    /// The next part, from the last one to the first: its events in the order of the log. `None` after the first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn previous_part(&mut self) -> Result<Option<Vec<EventDigest>>, ReadError> {
        let Some(begins) = self.parts.pop() else {
            return Ok(None);
        };
        self.file.seek(SeekFrom::Start(begins))?;
        let mut reader = Reader::new(BufReader::new(&mut self.file));
        let number = PART.min(self.end.events - PART * self.parts.len() as u64);
        let mut events = Vec::new();
        while reader.line_number() < number
            && let Some(event) = reader.next_event()?
        {
            events.push(event.event);
        }
        Ok(Some(events))
    }
}
