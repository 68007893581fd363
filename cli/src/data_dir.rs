//! The directory of the embedded databases: made at the first start, used by one server at a time.

use std::{
    fs::{self, File, TryLockError},
    path::Path,
};

use anyhow::{Context, bail};

/// The right to be the one server on a data directory; given up when dropped, also by `kill -9`.
#[derive(Debug)]
pub(crate) struct DataDirLock(#[expect(dead_code, reason = "held, not read")] File);

/// Creates `directory` if needed and locks it.
pub(crate) fn lock(directory: &Path) -> anyhow::Result<DataDirLock> {
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot create the data directory {}", directory.display()))?;
    let path = directory.join("taskledger.lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_context(|| format!("the data directory {} is not writable", directory.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(DataDirLock(file)),
        Err(TryLockError::WouldBlock) => {
            bail!(
                "another taskledger is running on the data directory {}: stop it, or set TASKLEDGER_DATA_DIR",
                directory.display()
            )
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}
