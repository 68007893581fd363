//! Finds the line number of a byte.

/// Counts the lines of a text once, for increasing offsets.
pub(crate) struct LineNumbers<'a> {
    text: &'a str,
    counted: usize,
    line: u64,
}

impl<'a> LineNumbers<'a> {
    pub(crate) const fn new(text: &'a str) -> Self {
        Self { text, counted: 0, line: 1 }
    }

    /// The line, from 1, of the first byte at or after `offset` that is not a line break.
    pub(crate) fn at(&mut self, offset: usize) -> u64 {
        let bytes = self.text.as_bytes().get(self.counted..).unwrap_or_default();
        let ahead = offset.saturating_sub(self.counted);
        let ends = bytes.iter().skip(ahead).take_while(|byte| matches!(byte, b'\r' | b'\n'));
        let ahead = ahead + ends.count();
        self.line += bytes.iter().take(ahead).filter(|byte| **byte == b'\n').count() as u64;
        self.counted += ahead;
        self.line
    }
}
