//! Files and directories that only their owner can read, whatever the umask is.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, ErrorKind, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// The permissions of the group and of others.
const OF_OTHERS: u32 = 0o077;

/// The sticky bit. A directory with it, such as `/tmp`, holds files of all users.
const STICKY: u32 = 0o1000;

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
    let draft = path.with_extension(format!("{}.draft", crate::new_id()));
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
    let draft = path.with_extension(format!("{}.draft", crate::new_id()));
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

/// Removes the permissions of other users on a file or a directory. It has the permissions `wanted` then.
///
/// # Errors
/// When there are some, and they cannot be removed, as on what belongs to another user.
pub fn tighten(path: &Path, wanted: u32) -> io::Result<()> {
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
