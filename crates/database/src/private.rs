//! Files and directories that only their owner can read, whatever the umask is.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, ErrorKind, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use runtime::private::OF_OTHERS;
pub use runtime::private::{key_files, read_key, require};

/// The sticky bit. A directory with it, such as `/tmp`, holds files of all users.
const STICKY: u32 = 0o1000;

/// Creates an empty database file that only its owner can read and write, or removes the permissions of other users
/// on an existing one and on SQLite's files beside it. Files that SQLite creates later get the same permissions.
///
/// # Errors
/// When it cannot be created, or belongs to another user and others have permissions on it.
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

/// Creates an empty file that only its owner can read and write, or removes the permissions of other users on an
/// existing one.
///
/// # Errors
/// When it cannot be created, is not a regular file, or belongs to another user and others have permissions on it.
pub fn file(path: &Path) -> io::Result<()> {
    create_or(path, |path| tighten(path, 0o600))
}

/// Creates an empty file that only its owner can read and write, or accepts an existing one on which no other user
/// has permissions. The permissions of an existing file are not changed, because it may have another purpose.
///
/// # Errors
/// When it cannot be created, is not a regular file, or others have permissions on it.
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
            // Removing permissions on a device or a directory would do harm elsewhere.
            if !fs::metadata(path)?.is_file() {
                return Err(io::Error::new(ErrorKind::InvalidInput, "it is no regular file"));
            }
            accept(path)
        }
        Err(error) => Err(error),
    }
}

/// Creates a directory that only its owner can enter, with those above it, or removes the permissions of other users
/// on an existing one, if `is_ours` returns that it has no other purpose.
///
/// # Errors
/// When it cannot be created, or permissions of others cannot be removed.
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

/// Creates a directory that only its owner can enter, with those above it. An existing one is not changed: it may
/// have other contents, so its files must be private themselves.
///
/// # Errors
/// When it cannot be created.
pub fn create_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a new file that only its owner can read, durably.
///
/// # Errors
/// When it exists, or cannot be written.
pub fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Creates a file that only its owner can read, completely or not at all, and durably. When several processes try at
/// once, one succeeds and the others find its file: the content is written to a temporary file, which gets the name
/// by a hard link only if no file has it.
///
/// # Errors
/// When it cannot be written. An existing file is not an error.
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

/// Replaces a file by one that only its owner can read, completely or not at all, and durably.
///
/// # Errors
/// When it cannot be written. Then the old file is still there.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let draft = path.with_extension(format!("{}.draft", runtime::new_id()));
    let written = write_new(&draft, content).and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        // The temporary file may not exist.
        let _ = fs::remove_file(&draft);
    }
    written.and_then(|()| sync_directory_of(path))
}

/// Makes the entries of a directory durable.
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
