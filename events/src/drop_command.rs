//! What the log says of `taskledger events drop`: the text of its command, which an audit reads again.

use std::fmt;

use crate::Timestamp;

const COMMAND: &str = "events drop --ended-before ";
const ROOT: &str = " in an export with the root ";

/// A command that drops payloads, as it is recorded before anything is dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropCommand {
    /// Only payloads of streams that ended before this time are dropped.
    pub ended_before: Timestamp,
    /// What it drops; `None` when there is nothing.
    pub exported: Option<ExportedPayloads>,
}

/// The payloads in the file that was written before they were dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedPayloads {
    /// How many there are.
    pub payloads: u64,
    /// The root of the Merkle tree over their events, which identifies the file.
    pub root: String,
}

impl DropCommand {
    /// Parses the text of a recorded command; `None` when it is another command.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix(COMMAND)?;
        let Some((ended_before, exported)) = text.split_once(": ") else {
            return Some(Self { ended_before: text.parse().ok()?, exported: None });
        };
        let (payloads, root) = exported.split_once(ROOT)?;
        let (payloads, _) = payloads.split_once(" payload")?;
        Some(Self {
            ended_before: ended_before.parse().ok()?,
            exported: Some(ExportedPayloads { payloads: payloads.parse().ok()?, root: root.to_owned() }),
        })
    }
}

impl fmt::Display for DropCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{COMMAND}{}", self.ended_before)?;
        let Some(ExportedPayloads { payloads, root }) = &self.exported else {
            return Ok(());
        };
        let ending = if *payloads == 1 { "" } else { "s" };
        write!(f, ": {payloads} payload{ending}{ROOT}{root}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_read_as_it_was_written() {
        let ended_before = "2025-06-01T00:00:00Z".parse().unwrap();
        for payloads in [None, Some(1), Some(4_502)] {
            let exported = payloads.map(|payloads| ExportedPayloads { payloads, root: "3f2a".to_owned() });
            let command = DropCommand { ended_before, exported };
            assert_eq!(DropCommand::parse(&command.to_string()), Some(command.clone()), "{command}");
        }
        for other in [
            "",
            "keys generate",
            "events drop --ended-before x",
            "events drop --ended-before 2025-06-01T00:00:00Z: some payloads in an export with the root 3f2a",
            "events import events drop --ended-before 2025-06-01T00:00:00Z",
        ] {
            assert_eq!(DropCommand::parse(other), None, "{other}");
        }
    }
}
