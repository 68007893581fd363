//! Files that hold secrets, whoever keeps them.

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

/// Rights of the group and of others.
pub const OF_OTHERS: u32 = 0o077;

/// Refuses a secret file to which others have rights.
///
/// # Errors
/// When they have, with one sentence that says what to do, or when there is no such file.
pub fn require(path: &Path) -> io::Result<()> {
    let mode = fs::metadata(path)?.mode();
    if mode & OF_OTHERS == 0 {
        return Ok(());
    }
    Err(io::Error::new(
        ErrorKind::PermissionDenied,
        format!(
            "others than its owner have rights to the secret file {path} (mode {:04o}): run `chmod 600 {path}`",
            mode & 0o7777,
            path = path.display(),
        ),
    ))
}
