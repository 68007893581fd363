//! The file of a SQLite database.

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use runtime::private_files;
use rustix::{
    fs::{Access, access},
    io::Errno,
};

/// A database file that can be written.
#[derive(Debug, Clone)]
pub(crate) struct DatabaseFile {
    pub(crate) path: PathBuf,
    /// Its device and inode.
    identity: (u64, u64),
}

impl DatabaseFile {
    /// Opens the file at `path`: makes it if it is missing, as [`create_private`] says.
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        create_private(&path)?;
        let identity = identity(&path)?;
        Ok(Self { path, identity })
    }

    /// Checks that the file is still at its path. What is written into one that was deleted, or that another file has
    /// replaced, is lost with this process.
    pub(crate) fn is_in_place(&self) -> io::Result<()> {
        match identity(&self.path) {
            Ok(found) if found == self.identity => Ok(()),
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Err(io::Error::new(
                ErrorKind::NotFound,
                format!(
                    "{} was deleted or replaced while this process uses it: nothing more is written. Until it ends, \
                     Linux keeps what it has written in /proc/{}/fd",
                    self.path.display(),
                    std::process::id()
                ),
            )),
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Creates an empty database file that only its owner can read and write, or removes the permissions of other users
/// on an existing one and on SQLite's files beside it. Files that SQLite creates later get the same permissions.
///
/// # Errors
/// When it cannot be created, or belongs to another user and others have permissions on it.
fn create_private(path: &Path) -> io::Result<()> {
    private_files::file(path)?;
    for suffix in ["-wal", "-shm"] {
        match private_files::tighten(&beside(path, suffix), 0o600) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Returns whether the file exists, and this process can only read it: it can write nothing in its directory, as in a
/// mounted backup, or not this file, which nobody uses. SQLite would create a -wal there, even to read, and could not
/// remove it beside a file that it cannot write.
pub(crate) fn is_read_only(path: &Path) -> bool {
    let Ok(path) = fs::canonicalize(path) else {
        return false;
    };
    path.parent().is_some_and(is_write_protected) || (is_write_protected(&path) && !is_in_use(&path))
}

fn is_write_protected(path: &Path) -> bool {
    matches!(access(path, Access::WRITE_OK), Err(Errno::ROFS | Errno::ACCESS | Errno::PERM))
}

/// Returns whether a process uses the file, or one did not end in order. The last one that closes it removes what is
/// beside it. Even an empty -wal may be filled at any moment, and then emptied into the file.
pub(crate) fn is_in_use(path: &Path) -> bool {
    ["-wal", "-shm"].iter().any(|suffix| beside(path, suffix).exists())
}

/// The path of one of SQLite's files beside the database. Those of a link are beside the file to which it leads.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut beside = path.into_os_string();
    beside.push(suffix);
    beside.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_with_a_wal_or_an_shm_is_in_use_also_by_a_link_from_elsewhere() {
        let (here, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (file, link) = (here.path().join("test.db"), elsewhere.path().join("link.db"));
        fs::write(&file, "").unwrap();
        symlink(&file, &link).unwrap();
        for suffix in ["-wal", "-shm"] {
            assert!(!is_in_use(&file) && !is_in_use(&link));
            let beside = here.path().join(format!("test.db{suffix}"));
            fs::write(&beside, "").unwrap();
            assert!(is_in_use(&file) && is_in_use(&link), "{suffix}");
            fs::remove_file(beside).unwrap();
        }
    }
}
