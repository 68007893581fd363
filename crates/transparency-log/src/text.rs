//! Parses texts line by line. Each number has only one valid spelling.

use crate::hash::Hash;

/// The most hashes in a proof, which no proof needs and no witness exceeds.
const MAX_HASHES: usize = 63;

/// A decimal number without leading zeroes, signs or anything else.
pub(crate) fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// The hashes of a proof, one a line, up to the empty line; and what follows it.
pub(crate) fn hashes(text: &str) -> Option<(Vec<Hash>, &str)> {
    let (mut hashes, mut rest) = (Vec::new(), text);
    loop {
        let (line, after) = rest.split_once('\n')?;
        rest = after;
        if line.is_empty() {
            return Some((hashes, rest));
        }
        if hashes.len() == MAX_HASHES {
            return None;
        }
        hashes.push(line.parse().ok()?);
    }
}

/// One hash a line.
pub(crate) fn lines(hashes: &[Hash]) -> String {
    hashes.iter().map(|hash| format!("{hash}\n")).collect()
}
