//! Files and directories that nobody but their owner can read, whatever the umask.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, ErrorKind, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use runtime::private::OF_OTHERS;
pub use runtime::private::{key_files, read_key, require};

/// In a directory with this bit, everybody keeps files, such as `/tmp`.
const STICKY: u32 = 0o1000;

/// Creates an empty database file that only its owner can read and write, or takes the rights of others to one that is
/// there, and to what SQLite has put beside it. What it will put there gets the rights of the file.
///
/// # Errors
/// When it cannot be created, or belongs to somebody else and others have rights to it.
pub(crate) fn database_file(path: &Path) -> io::Result<()> {
    file(path)?;
    for suffix in ["-wal", "-shm"] {
        let mut beside = path.as_os_str().to_owned();
        beside.push(suffix);
        match tighten(Path::new(&beside), 0o600) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Creates an empty file that only its owner can read and write, or takes the rights of others to one that is there.
///
/// # Errors
/// When it cannot be created, is no regular file, or belongs to somebody else and others have rights to it.
pub fn file(path: &Path) -> io::Result<()> {
    create_or(path, |path| tighten(path, 0o600))
}

/// Creates an empty file that only its owner can read and write, or accepts one to which nobody else has rights. Those of a file
/// that somebody else may have made for a purpose of theirs are not changed.
///
/// # Errors
/// When it cannot be created, is no regular file, or others have rights to it.
pub fn create_or_accept(path: &Path) -> io::Result<()> {
    create_or(path, require)
}

fn create_or(path: &Path, accept: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let created = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match created {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            // Taking the rights of others to a device or a directory would break more than this.
            if !fs::metadata(path)?.is_file() {
                return Err(io::Error::new(ErrorKind::InvalidInput, "it is no regular file"));
            }
            accept(path)
        }
        Err(error) => Err(error),
    }
}

/// Creates a directory that only its owner can enter, with those above it, or takes the rights of others to one that is
/// there, if `is_ours` says that it is used for nothing else.
///
/// # Errors
/// When it cannot be created, or others have rights to it that cannot be taken away.
pub fn directory(path: &Path, is_ours: impl FnOnce() -> bool) -> io::Result<()> {
    if !path.exists() {
        return create_directory(path);
    }
    let mode = fs::metadata(path)?.mode();
    if mode & OF_OTHERS == 0 {
        return Ok(());
    }
    if mode & STICKY != 0 || !is_ours() {
        return Err(io::Error::new(
            ErrorKind::PermissionDenied,
            format!(
                "others can enter {path} (mode {:04o}), which holds other things, too: run `chmod 700 {path}`, or choose another directory",
                mode & 0o7777,
                path = path.display(),
            ),
        ));
    }
    tighten(path, 0o700)
}

/// Creates a directory that only its owner can enter, with those above it. One that is there stays as it is: whatever else
/// somebody keeps in it, the files must be private.
///
/// # Errors
/// When it cannot be created.
pub fn create_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a new file that only its owner can read, durably.
///
/// # Errors
/// When it is there already, or cannot be written.
pub fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Creates a file that only its owner can read, whole or not at all, and durably with its name. Of several processes that try
/// at once one wins, and the others find its file: the content goes to a file of its own first, and a hard link gives it
/// the name only if nothing has that name.
///
/// # Errors
/// When it cannot be written. A file that is there already is none.
pub fn create_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let draft = path.with_extension(format!("{}.draft", runtime::new_id()));
    let written = write_new(&draft, content).and_then(|()| match fs::hard_link(&draft, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    let removed = fs::remove_file(&draft);
    written.and(removed)?;
    sync_directory_of(path)
}

/// Puts a file that only its owner can read in the place of another, whole or not at all, and durably.
///
/// # Errors
/// When it cannot be written. The other one is there still.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let draft = path.with_extension(format!("{}.draft", runtime::new_id()));
    let written = write_new(&draft, content).and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        // It may not have been made at all.
        let _ = fs::remove_file(&draft);
    }
    written.and_then(|()| sync_directory_of(path))
}

/// What stands in a directory is durable after this.
fn sync_directory_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

fn tighten(path: &Path, wanted: u32) -> io::Result<()> {
    let mode = fs::metadata(path)?.mode();
    if mode & OF_OTHERS == 0 {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(wanted)).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!(
                "others have rights to {path} (mode {:04o}), and they cannot be taken away ({error}): run `chmod {wanted:o} {path}` as its owner",
                mode & 0o7777,
                path = path.display(),
            ),
        )
    })?;
    tracing::info!(
        path = %path.display(),
        mode.before = format!("{:04o}", mode & 0o7777),
        mode.now = format!("{wanted:04o}"),
        "others had rights to this: they have been taken away"
    );
    Ok(())
}
