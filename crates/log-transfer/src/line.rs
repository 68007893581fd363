//! A line of an export: an event, or the end.

use serde::{Deserialize, Serialize};

use crate::{ExportedEvent, LineError};

/// The beginning of the last line, and of no other.
const END: &str = r#"{"end":"#;

/// A line of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// An event of the log.
    Event(Box<ExportedEvent>),
    /// The last line of a complete export.
    End(End),
}

/// The last line of an export, which shows whether it is complete.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// The export has the events after this position of the log; 0 means from the first one on.
    pub after: i64,
    /// The position of its last event, or `after` if it has none.
    pub position: i64,
    /// How many events it has.
    pub events: u64,
    /// The root of the tree over its events (RFC 9162) in Base64: that of a checkpoint, when they are the first of the
    /// log.
    pub root: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EndLine {
    end: End,
}

impl Line {
    /// Reads a line.
    ///
    /// # Errors
    /// As [`ExportedEvent::parse`].
    pub fn parse(line: &str) -> Result<Self, LineError> {
        if !line.starts_with(END) {
            return Ok(Self::Event(Box::new(ExportedEvent::parse(line)?)));
        }
        let line: EndLine =
            serde_json::from_str(line).map_err(|error| LineError::Malformed(error.to_string()))?;
        Ok(Self::End(line.end))
    }
}

impl End {
    /// The end as a line.
    pub fn to_line(&self) -> String {
        // Numbers and Base64: writing them as JSON cannot fail.
        serde_json::to_string(&EndLine { end: self.clone() }).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_read_as_it_was_written() {
        let end = End { after: 3, position: 9, events: 6, root: "AA==".to_owned() };
        assert_eq!(Line::parse(&end.to_line()), Ok(Line::End(end)));
        assert!(matches!(Line::parse(r#"{"end":{"events":1}}"#), Err(LineError::Malformed(_))));
    }
}
