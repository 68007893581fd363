//! Reads files that are given as arguments.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use anyhow::{Context, ensure};
use log_transfer::MAX_LINE_BYTES;

/// The text of a file, or of the standard input for `-`: a checkpoint, a proof, or a line of an export.
pub(super) fn read(path: &Path) -> anyhow::Result<String> {
    if path == Path::new("-") {
        return read_text(io::stdin().lock()).context("cannot read the standard input");
    }
    read_text(open(path)?).with_context(|| format!("cannot read {}", path.display()))
}

fn read_text(input: impl Read) -> anyhow::Result<String> {
    let mut text = String::new();
    let length = input.take(MAX_LINE_BYTES).read_to_string(&mut text)?;
    ensure!((length as u64) < MAX_LINE_BYTES, "it is longer than {MAX_LINE_BYTES} bytes");
    Ok(text)
}

pub(super) fn open(path: &Path) -> anyhow::Result<File> {
    File::open(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_longer_than_any_is_not_read_to_its_end() {
        let refused = read_text(io::repeat(b'x')).unwrap_err();
        assert_eq!(refused.to_string(), "it is longer than 67108864 bytes");
    }
}
