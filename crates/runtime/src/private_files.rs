//! Files and directories that only their owner can read, whatever the umask is. What root creates for the system
//! belongs to the owner of the file that it replaces, or of the directory above it: roles run as that user.

use std::{
    fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions, TryLockError},
    io::{self, ErrorKind, Write as _},
    os::unix::fs::{
        DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown, lchown,
    },
    path::{Path, PathBuf},
};

/// The permissions of the group and of others.
const OF_OTHERS: u32 = 0o077;

/// The sticky bit. A directory with it, such as `/tmp`, holds files of all users.
const STICKY: u32 = 0o1000;

/// Checks that other users have no permissions on a secret file.
///
/// # Errors
/// When they have, with a sentence that says what to do, which is not [`ErrorKind::PermissionDenied`] since its owner
/// gets it, too, or when the file does not exist.
pub fn require(path: &Path) -> io::Result<()> {
    let mode = fs::metadata(path)?.mode();
    if mode & OF_OTHERS == 0 {
        return Ok(());
    }
    Err(io::Error::new(
        ErrorKind::InvalidInput,
        format!(
            "others than its owner have rights to the secret file {path} (mode {:04o}): run `chmod 600 {path}`",
            mode & 0o7777,
            path = path.display(),
        ),
    ))
}

/// Checks that the user of this process or root owns a file. In a directory where others can create files, private
/// permissions alone do not prove that a file is ours. For root it is the owner of the directory, whom roles run as.
fn require_own(path: &Path) -> io::Result<()> {
    let user = match rustix::process::geteuid() {
        root if root.is_root() => fs::metadata(directory_of(path))?.uid(),
        user => user.as_raw(),
    };
    require_owner(path, user)
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
    accept_if_it_exists(path, create_for_system(path), |path| tighten(path, 0o600))
}

/// Creates an empty file that only its owner can read and write, or accepts an existing one on which no other user
/// has permissions. The permissions of an existing file are not changed, because it may have another purpose. What root
/// creates stays root's.
///
/// # Errors
/// When it cannot be created, is not a regular file, or others have permissions on it.
pub fn create_or_accept(path: &Path) -> io::Result<()> {
    accept_if_it_exists(path, create_new(path, None), require)
}

fn accept_if_it_exists(
    path: &Path,
    created: io::Result<File>,
    accept: impl FnOnce(&Path) -> io::Result<()>,
) -> io::Result<()> {
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

/// Opens a file for reading and writing, and locks it for this process until it is closed, also by `kill -9`. Creates
/// it for its owner alone if it does not exist. `None` when another process has the lock.
///
/// # Errors
/// When it cannot be opened or locked.
pub fn open_locked(path: &Path) -> io::Result<Option<File>> {
    let file = match create_for_system(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            OpenOptions::new().read(true).write(true).open(path)?
        }
        created => created?,
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Opens a file for appending. Creates it for its owner alone if it does not exist.
///
/// # Errors
/// When it cannot be opened.
pub fn open_to_append(path: &Path) -> io::Result<File> {
    match create_for_system(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        // It may be a link to a file that does not exist.
        _ => OpenOptions::new().append(true).create(true).mode(0o600).open(path),
    }
}

/// Creates a directory that only its owner can enter, with those above it, or removes the permissions of other users
/// on an existing one, if `is_ours` returns that it has no other purpose.
///
/// # Errors
/// When it cannot be created, is a file, or permissions of others cannot be removed.
pub fn directory(path: &Path, is_ours: impl FnOnce() -> bool) -> io::Result<()> {
    check_directory(path, is_ours)?;
    match path.exists() {
        true => tighten(path, 0o700),
        false => create_directory(path),
    }
}

/// Checks that [`directory`] has nothing against what is at `path`. Nothing is created or changed.
///
/// # Errors
/// As [`directory`], but for what only creating it shows.
pub fn check_directory(path: &Path, is_ours: impl FnOnce() -> bool) -> io::Result<()> {
    check_place(path)?;
    if !path.exists() {
        return Ok(());
    }
    let mode = fs::metadata(path)?.mode();
    if mode & OF_OTHERS == 0 || (mode & STICKY == 0 && is_ours()) {
        return Ok(());
    }
    Err(io::Error::new(
        ErrorKind::PermissionDenied,
        format!(
            "others can enter {path} (mode {:04o}), and it is not for Taskledger alone: choose a directory that is empty, or one that does not exist yet",
            mode & 0o7777,
            path = path.display(),
        ),
    ))
}

/// Checks that a directory is at `path`, or could be made there: that neither it nor what is above it is a file.
///
/// # Errors
/// When one of them is.
pub fn check_place(path: &Path) -> io::Result<()> {
    let there = path.ancestors().find(|place| place.exists());
    let Some(file) = there.filter(|place| !place.is_dir()) else {
        return Ok(());
    };
    let sentence = match file == path {
        true => "it is a file, and has to be a directory".to_owned(),
        false => format!("{} is a file, and has to be a directory", file.display()),
    };
    Err(io::Error::new(ErrorKind::NotADirectory, sentence))
}

/// Creates a directory that only its owner can enter, with those above it. An existing one is not changed: it may
/// have other contents, so its files must be private themselves.
///
/// # Errors
/// When it cannot be created.
pub fn create_directory(path: &Path) -> io::Result<()> {
    let create = || match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => match new_owner(directory_of(path))? {
            // It follows no link that somebody else may have put there since.
            Some(owner) => lchown(path, Some(owner.uid()), Some(owner.gid())),
            None => Ok(()),
        },
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
    };
    match create() {
        Err(error) if error.kind() == ErrorKind::NotFound && !path.as_os_str().is_empty() => {
            create_directory(directory_of(path))?;
            create()
        }
        created => created,
    }
}

/// Writes a new file that only its owner can read, durably. What root writes stays root's.
///
/// # Errors
/// When it exists, or cannot be written.
pub fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    write(create_new(path, None)?, content)
}

fn create_for_system(path: &Path) -> io::Result<File> {
    create_new(path, Some(directory_of(path)))
}

/// Creates a file that only its owner can read. If root creates it, that is the owner of `like`, if there is one.
fn create_new(path: &Path, like: Option<&Path>) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
    // Files that exist are never given away: in a directory of somebody else they may be links to others.
    let given = like.map_or(Ok(None), new_owner).and_then(|owner| match owner {
        Some(owner) => fchown(&file, Some(owner.uid()), Some(owner.gid())),
        None => Ok(()),
    });
    if let Err(error) = given {
        fs::remove_file(path)?;
        return Err(error);
    }
    Ok(file)
}

/// The owner of `like`, to whom root gives what it creates. `None` if this process is not one of root, or that is the
/// owner.
fn new_owner(like: &Path) -> io::Result<Option<Metadata>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    Ok(Some(fs::metadata(like)?).filter(|owner| owner.uid() != 0))
}

fn write(mut file: File, content: &[u8]) -> io::Result<()> {
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
    let written = create_for_system(&draft).and_then(|file| write(file, content)).and_then(|()| {
        match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        }
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
    let like = if path.exists() { path } else { directory_of(path) };
    let written = create_new(&draft, Some(like))
        .and_then(|file| write(file, content))
        .and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        // The temporary file may not exist.
        let _ = fs::remove_file(&draft);
    }
    written.and_then(|()| sync_directory_of(path))
}

/// Makes durable that the file at `path` is in its directory.
///
/// # Errors
/// When the directory cannot be opened or written.
pub fn sync_directory_of(path: &Path) -> io::Result<()> {
    File::open(directory_of(path))?.sync_all()
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
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
mod tests;
