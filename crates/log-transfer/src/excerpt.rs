//! Some events of the log in a file, in the format of an export: written once, read again from its end backwards.

use std::{
    fs::File,
    io::{self, BufReader, Seek as _, SeekFrom, Write},
};

use events::{EventDigest, StoredEvent};

use crate::{End, ReadError, Reader, summary::Summary};

/// The events of a part.
const PART: u64 = 256;

/// An excerpt that is being written.
#[derive(Debug)]
pub struct ExcerptWriter<W> {
    out: W,
    summary: Summary,
}

impl<W: Write> ExcerptWriter<W> {
    /// Writes into `out`.
    pub fn new(out: W) -> Self {
        Self { out, summary: Summary::default() }
    }

    /// Writes an event, which must come after the previous ones in the log.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, event: &StoredEvent) -> io::Result<()> {
        self.summary.write(event, &mut self.out)
    }

    /// Writes the end, and returns it with the writer.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> io::Result<(End, W)> {
        let end = self.summary.write_end(0, &mut self.out)?;
        Ok((end, self.out))
    }
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
    /// Reads and verifies a whole excerpt, including every hash.
    ///
    /// # Errors
    /// When it is incomplete, or an event in it is.
    pub fn open(mut file: File) -> Result<Self, ReadError> {
        file.rewind()?;
        let mut reader = Reader::new(BufReader::new(file.try_clone()?));
        let mut parts = Vec::new();
        loop {
            let (begins, number) = (reader.offset(), reader.line_number());
            let Some(event) = reader.next_event()? else { break };
            if event.data_dropped || event.is_withheld() {
                return Err(ReadError::Line {
                    number: number + 1,
                    reason: "it does not show its payload".to_owned(),
                });
            }
            if number.is_multiple_of(PART) {
                parts.push(begins);
            }
        }
        let lines = reader.line_number();
        let end = reader.end().cloned().ok_or(ReadError::Unfinished { lines })?;
        Ok(Self { file, parts, end })
    }

    /// Reads it again from the beginning.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn reader(&mut self) -> Result<Reader<BufReader<&mut File>>, ReadError> {
        self.file.rewind()?;
        Ok(Reader::new(BufReader::new(&mut self.file)))
    }

    /// Where the excerpt ends.
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
