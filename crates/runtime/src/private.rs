//! Files with secrets, and directories of private keys.

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// The permissions of the group and of others.
pub const OF_OTHERS: u32 = 0o077;

/// Checks that other users have no permissions on a secret file.
///
/// # Errors
/// When they have, with a sentence that says what to do, or when the file does not exist.
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

/// Checks that the user of this process or root owns a file. In a directory where others can create files, private
/// permissions alone do not prove that a file is ours.
fn require_own(path: &Path) -> io::Result<()> {
    require_owner(path, rustix::process::geteuid().as_raw())
}

fn require_owner(path: &Path, user: u32) -> io::Result<()> {
    let owner = fs::metadata(path)?.uid();
    if owner == user || owner == 0 {
        return Ok(());
    }
    Err(io::Error::new(
        ErrorKind::PermissionDenied,
        format!(
            "{} belongs to user {owner}, and is believed only if it belongs to user {user} or root: look who put it there",
            path.display()
        ),
    ))
}

/// The files of private keys in `directory`, which are those whose names end with `.pem`, in the order of their names.
///
/// # Errors
/// When it cannot be read.
pub fn key_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "pem") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Reads a private key, or another secret beside it. The owner is checked, because another user's key must not be
/// used for signing.
///
/// # Errors
/// When others have permissions on it, when another user owns it, or when it cannot be read.
pub fn read_key(path: &Path) -> io::Result<String> {
    require(path)?;
    require_own(path)?;
    fs::read_to_string(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_somebody_else_is_refused() {
        let file = std::env::current_exe().unwrap();
        assert!(require_own(&file).is_ok());
        let owner = fs::metadata(&file).unwrap().uid();
        let refused = require_owner(&file, owner + 1)
            .err()
            .map(|error| error.to_string());
        let is_of_root = owner == 0;
        assert_eq!(refused.is_none(), is_of_root, "{refused:?}");
    }
}
