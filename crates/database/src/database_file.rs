//! The file of a SQLite database.

use std::{
    io::{self, ErrorKind},
    path::Path,
};

use runtime::private_files;

/// Creates an empty database file that only its owner can read and write, or removes the permissions of other users
/// on an existing one and on SQLite's files beside it. Files that SQLite creates later get the same permissions.
///
/// # Errors
/// When it cannot be created, or belongs to another user and others have permissions on it.
pub(crate) fn create_private(path: &Path) -> io::Result<()> {
    private_files::file(path)?;
    for suffix in ["-wal", "-shm"] {
        let mut beside = path.as_os_str().to_owned();
        beside.push(suffix);
        match private_files::tighten(Path::new(&beside), 0o600) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
