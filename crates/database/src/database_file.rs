//! The file of a SQLite database.

use std::{
    ffi::OsString,
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use runtime::private_files;
use rustix::{
    fs::{Access, access},
    io::Errno,
};

/// Creates an empty database file that only its owner can read and write, or removes the permissions of other users
/// on an existing one and on SQLite's files beside it. Files that SQLite creates later get the same permissions.
///
/// # Errors
/// When it cannot be created, or belongs to another user and others have permissions on it.
pub(crate) fn create_private(path: &Path) -> io::Result<()> {
    private_files::file(path)?;
    for suffix in ["-wal", "-shm"] {
        match private_files::tighten(&beside(path, suffix), 0o600) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Returns whether the file exists in a directory where this process can write nothing, as in a mounted backup. SQLite
/// would create a -wal there, even to read.
pub(crate) fn is_in_read_only_directory(path: &Path) -> bool {
    let directory = match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    };
    path.exists()
        && matches!(
            access(directory, Access::WRITE_OK),
            Err(Errno::ROFS | Errno::ACCESS)
        )
}

/// Returns whether there are changes in the -wal, which may be missing in the file.
pub(crate) fn has_wal(path: &Path) -> bool {
    fs::metadata(beside(path, "-wal")).is_ok_and(|wal| wal.len() > 0)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut beside = OsString::from(path);
    beside.push(suffix);
    beside.into()
}
