//! An optional file of breached passwords on this machine: sorted lines with the SHA-1 in upper case hex, a colon and
//! a count. This is the format of the downloaded "Pwned Passwords" (about 40 GB): all of its ranges, one after
//! another.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use runtime::BlockingCalls;
use sha1::{Digest, Sha1};

use super::Password;

/// The number of hex digits of a SHA-1.
const DIGITS: usize = 40;
/// The longest line: a hash, a colon, a number and the end of the line.
const MAX_LINE: usize = 64;

/// The most searches at the same time, and how long each may take, including the wait for its turn.
const SEARCHES: usize = 8;
const SEARCH_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
#[error("the file of breached passwords {path} cannot be used: {source}", path = .path.display())]
pub(crate) struct UnusableFile {
    path: PathBuf,
    source: io::Error,
}

/// The file, open.
#[derive(Debug)]
pub(crate) struct BreachedPasswords {
    path: PathBuf,
    file: File,
    bytes: u64,
    searches: BlockingCalls,
}

impl BreachedPasswords {
    /// Opens the file and checks its first line.
    pub(crate) fn open(path: &Path) -> Result<Self, UnusableFile> {
        let unusable = |source| UnusableFile { path: path.to_owned(), source };
        let file = File::open(path).map_err(unusable)?;
        let bytes = file.metadata().map_err(unusable)?.len();
        let breached = Self {
            path: path.to_owned(),
            file,
            bytes,
            searches: BlockingCalls::new(SEARCHES, SEARCH_TIMEOUT),
        };
        breached.line_at(0).map_err(unusable)?;
        Ok(breached)
    }

    /// Whether `password` is in the file.
    pub(crate) async fn contain(self: &Arc<Self>, password: &Arc<Password>) -> Result<bool, UnusableFile> {
        let (breached, password) = (Arc::clone(self), Arc::clone(password));
        let unusable = |source| UnusableFile { path: self.path.clone(), source };
        let search = move || {
            let hash = hex::encode_upper(Sha1::digest(password.normalized().as_bytes()));
            breached.find(hash.as_bytes())
        };
        let found = self.searches.run(search).await;
        found.map_err(|error| unusable(io::Error::other(error)))?.map_err(unusable)
    }

    /// Finds a hash by binary search: about 35 short reads in a file of a thousand million lines.
    fn find(&self, hash: &[u8]) -> io::Result<bool> {
        let (mut low, mut high) = (0, self.bytes);
        while low < high {
            let line = self.line_at(low + (high - low) / 2)?;
            match line.hash.as_slice().cmp(hash) {
                std::cmp::Ordering::Equal => return Ok(true),
                std::cmp::Ordering::Less => low = line.end,
                std::cmp::Ordering::Greater => high = line.start,
            }
        }
        Ok(false)
    }

    /// The line that contains the byte at `offset`.
    fn line_at(&self, offset: u64) -> io::Result<Line> {
        let from = offset.saturating_sub(MAX_LINE as u64);
        let mut bytes = [0; 2 * MAX_LINE];
        let mut filled = 0;
        while filled < bytes.len() {
            match self.file.read_at(&mut bytes[filled..], from + filled as u64)? {
                0 => break,
                read => filled += read,
            }
        }
        let within = usize::try_from(offset - from).unwrap_or(0).min(filled);
        let start = bytes[..within].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let line = bytes[start..filled].split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
        let hash = line
            .get(..DIGITS)
            .filter(|hash| line.get(DIGITS) == Some(&b':') && hash.iter().all(is_upper_hex))
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "expected lines of SHA-1:COUNT"))?;
        Ok(Line { hash: hash.to_vec(), start: from + start as u64, end: from + (start + line.len()) as u64 })
    }
}

struct Line {
    hash: Vec<u8>,
    start: u64,
    /// The offset of the next line.
    end: u64,
}

fn is_upper_hex(byte: &u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'A'..=b'F')
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn file_of(passwords: &[String], end_of_line: &str) -> (tempfile::TempDir, PathBuf) {
        let mut hashes: Vec<_> =
            passwords.iter().map(|password| hex::encode_upper(Sha1::digest(password.as_bytes()))).collect();
        hashes.sort();
        let mut text = String::new();
        for (number, hash) in hashes.iter().enumerate() {
            write!(text, "{hash}:{}{end_of_line}", number * 7_919).unwrap();
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pwned.txt");
        std::fs::write(&path, text).unwrap();
        (directory, path)
    }

    #[tokio::test]
    async fn finds_every_password_of_the_file_and_no_other() {
        for (count, end_of_line) in [(1, "\n"), (2, "\r\n"), (1_000, "\r\n"), (999, "\n")] {
            let passwords: Vec<_> = (0..count).map(|number| format!("caf\u{e9} {number}")).collect();
            let (_directory, path) = file_of(&passwords, end_of_line);
            let breached = Arc::new(BreachedPasswords::open(&path).unwrap());
            for password in &passwords {
                let typed = Arc::new(Password::new(&password.replace('\u{e9}', "e\u{301}")));
                assert!(breached.contain(&typed).await.unwrap(), "{password} of {count}");
            }
            for number in 0..100 {
                let other = Arc::new(Password::new(&format!("other {number}")));
                assert!(!breached.contain(&other).await.unwrap());
            }
        }
    }

    #[test]
    fn another_kind_of_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("passwords.txt");
        assert!(BreachedPasswords::open(&path).is_err());
        for text in ["", "password\n", "0123456789abcdef0123456789abcdef01234567:1\n"] {
            std::fs::write(&path, text).unwrap();
            assert!(BreachedPasswords::open(&path).is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn a_file_that_is_cut_off_is_no_proof() {
        let (_directory, path) = file_of(&["a".to_owned()], "\n");
        let breached = Arc::new(BreachedPasswords::open(&path).unwrap());
        std::fs::write(&path, "").unwrap();
        assert!(breached.contain(&Arc::new(Password::new("a"))).await.is_err());
    }
}
