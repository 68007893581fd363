//! The directory of the embedded databases: made at the first start, used by one server at a time.

use std::{
    fs::{self, File},
    path::Path,
};

use anyhow::Context;
use runtime::private_files;

const LOCK: &str = "taskledger.lock";

/// Creates `directory` if it does not exist, for its owner alone, and locks it, so that only one server uses it. The
/// lock ends when the file is dropped, also by `kill -9`. If it is a data directory that others can enter, which an
/// older release made so, access is taken from them.
pub(crate) fn lock(directory: &Path) -> anyhow::Result<File> {
    private_files::directory(directory, || is_data_directory(directory))
        .with_context(|| unusable(directory))?;
    let file = private_files::open_locked(&directory.join(LOCK))
        .with_context(|| format!("the data directory {} is not writable", directory.display()))?;
    file.with_context(|| {
        format!(
            "another taskledger is running on the data directory {}: stop it, or set TASKLEDGER_DATA_DIR",
            directory.display()
        )
    })
}

/// Checks that [`lock`] would accept `directory`. Nothing is created or changed.
pub(crate) fn check(directory: &Path) -> anyhow::Result<()> {
    private_files::check_directory(directory, || is_data_directory(directory))
        .with_context(|| unusable(directory))
}

fn unusable(directory: &Path) -> String {
    format!("cannot use the data directory {}", directory.display())
}

/// Returns whether a server has used the directory before, or the directory is empty.
fn is_data_directory(directory: &Path) -> bool {
    [LOCK, "keys", "events.db"].iter().any(|name| directory.join(name).exists())
        || fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_data_directory_is_private_and_one_of_others_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let fresh = home.path().join("one/two");
        drop(lock(&fresh).unwrap());
        assert_eq!((mode(&fresh), mode(&fresh.join(LOCK))), (0o700, 0o600));

        fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755)).unwrap();
        check(&fresh).unwrap();
        assert_eq!(mode(&fresh), 0o755, "a check changes nothing");
        drop(lock(&fresh).unwrap());
        assert_eq!(mode(&fresh), 0o700, "taken from others");

        let foreign = home.path().join("foreign");
        fs::create_dir(&foreign).unwrap();
        fs::write(foreign.join("letter"), "").unwrap();
        fs::set_permissions(&foreign, fs::Permissions::from_mode(0o755)).unwrap();
        for refused in [check(&foreign).unwrap_err(), lock(&foreign).unwrap_err()] {
            let refused = format!("{refused:#}");
            assert!(refused.contains("not for Taskledger alone"), "{refused}");
            // It would take a directory of the system, such as /etc, from all its users.
            assert!(!refused.contains("chmod"), "{refused}");
        }
        assert_eq!(mode(&foreign), 0o755, "left alone");
    }
}
