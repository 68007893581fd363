//! Reads an export line by line, and verifies it as far as possible without a store: that each line has its hashes,
//! that positions increase, that the versions of each stream are 1, 2, 3 …, and that the end fits.

use std::{
    collections::HashMap,
    io::{self, BufRead, Read as _},
};

use events::StoredEvent;
use transparency_log::entry_hash;

use crate::{End, ExportedEvent, Line, LineError, summary::Summary};

/// The longest line, in bytes: more than an append may have in any encoding.
pub const MAX_LINE_BYTES: u64 = 64 << 20;

/// Why an export cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant has its message")]
pub enum ReadError {
    #[error("the export cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("line {number} of the export: {reason}")]
    Line {
        /// The number of the line, from 1.
        number: u64,
        /// The reason.
        reason: String,
    },
    #[error(
        "the export is not whole: after line {lines} its last line is missing. Go on with it by running `taskledger events export --output` again"
    )]
    Unfinished {
        /// The number of complete lines.
        lines: u64,
    },
}

/// Reads the line `number` of an export into `line`, with its line feed, if there is one. At the end it is empty.
///
/// # Errors
/// When it cannot be read, or is longer than any line of an export.
pub fn read_line(input: &mut impl BufRead, number: u64, line: &mut Vec<u8>) -> Result<(), ReadError> {
    line.clear();
    input.take(MAX_LINE_BYTES).read_until(b'\n', line)?;
    if line.len() as u64 == MAX_LINE_BYTES {
        return Err(ReadError::Line { number, reason: format!("it is longer than {MAX_LINE_BYTES} bytes") });
    }
    Ok(())
}

/// An export that is being read.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    line: Vec<u8>,
    lines: u64,
    /// The number of bytes in the complete lines that were read.
    offset: u64,
    summary: Summary,
    /// The last version of each stream, by a hash of its name: about 40 bytes for each stream.
    versions: Option<HashMap<[u8; 16], i64>>,
    end: Option<End>,
}

impl<R: BufRead> Reader<R> {
    /// Reads `input`. The versions of streams are not checked.
    pub fn new(input: R) -> Self {
        Self {
            input,
            line: Vec::new(),
            lines: 0,
            offset: 0,
            summary: Summary::default(),
            versions: None,
            end: None,
        }
    }

    /// Also checks that every stream begins with version 1 and leaves none out.
    #[must_use]
    pub fn checking_versions(mut self) -> Self {
        self.versions = Some(HashMap::new());
        self
    }

    /// The next event; `None` at the end, after verifying it.
    ///
    /// # Errors
    /// When a line is wrong, or the file ends in the middle of the export.
    pub fn next_event(&mut self) -> Result<Option<ExportedEvent>, ReadError> {
        match self.next_line()? {
            Some(Line::Event(event)) => Ok(Some(*event)),
            Some(Line::End(_)) => Ok(None),
            None => Err(ReadError::Unfinished { lines: self.lines }),
        }
    }

    /// As [`Self::next_event`], as it was stored.
    ///
    /// # Errors
    /// Also when a line does not show all of its event.
    pub fn next_stored(&mut self) -> Result<Option<StoredEvent>, ReadError> {
        let Some(event) = self.next_event()? else {
            return Ok(None);
        };
        let stored = event.stored().ok_or(ReadError::Line {
            number: self.lines,
            reason: "its payload is withheld, as for auditors: only what `taskledger events export` writes can be imported"
                .to_owned(),
        })?;
        Ok(Some(stored))
    }

    /// The next line; `None` when the file has no more complete lines, or the end was read.
    pub(crate) fn next_line(&mut self) -> Result<Option<Line>, ReadError> {
        if !self.read_line()? {
            return Ok(None);
        }
        let number = self.lines + 1;
        let wrong = |reason: String| ReadError::Line { number, reason };
        if self.end.is_some() {
            return Err(wrong("there is something after the end of the export".to_owned()));
        }
        let text = std::str::from_utf8(&self.line).map_err(|_| wrong("it is not text".to_owned()))?;
        let line = Line::parse(text.trim_end_matches(['\r', '\n']))
            .map_err(|error: LineError| wrong(error.to_string()))?;
        match &line {
            Line::Event(event) => self.take(event).map_err(wrong)?,
            Line::End(end) => {
                self.check_end(end).map_err(wrong)?;
                self.end = Some(end.clone());
                // Nothing may follow the end.
                self.lines = number;
                self.offset += self.line.len() as u64;
                self.next_line()?;
                return Ok(Some(line));
            }
        }
        self.lines = number;
        self.offset += self.line.len() as u64;
        Ok(Some(line))
    }

    /// Reads a line with its line feed. Text without a line feed at the end of the file is not a line.
    fn read_line(&mut self) -> Result<bool, ReadError> {
        read_line(&mut self.input, self.lines + 1, &mut self.line)?;
        Ok(self.line.ends_with(b"\n"))
    }

    fn take(&mut self, exported: &ExportedEvent) -> Result<(), String> {
        let event = &exported.event;
        let before = self.summary.position(0);
        if event.position <= before {
            return Err(format!("position {} does not come after position {before}", event.position));
        }
        if let Some(versions) = &mut self.versions {
            let mut stream = [0; 16];
            stream.copy_from_slice(&entry_hash(event.stream.as_bytes()).0[..16]);
            let version = versions.entry(stream).or_default();
            if event.version != *version + 1 {
                return Err(format!(
                    "version {} of the stream {} comes after version {version}",
                    event.version, event.stream
                ));
            }
            *version = event.version;
        }
        self.summary.push(event);
        Ok(())
    }

    fn check_end(&mut self, end: &End) -> Result<(), String> {
        let is = self.summary.end(end.after);
        if self.summary.first.is_some_and(|first| first <= end.after) || is != *end {
            return Err(format!(
                "it says that there are {} events up to position {} with the root {}; there are {} up to position {} with the root {}",
                end.events, end.position, end.root, is.events, is.position, is.root
            ));
        }
        Ok(())
    }

    /// The end, once it was read.
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// The number of the line that was read last, from 1.
    pub fn line_number(&self) -> u64 {
        self.lines
    }

    /// The number of bytes in the complete lines that were read.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether the text after the last line feed is the beginning of a line, or empty.
    pub(crate) fn is_line_broken_off(&self) -> bool {
        const BEGINNING: &[u8] = b"{\"e";
        self.line.starts_with(BEGINNING) || BEGINNING.starts_with(&self.line)
    }

    pub(crate) fn into_summary(self) -> Summary {
        self.summary
    }
}
