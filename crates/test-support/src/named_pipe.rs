//! Named pipes, which stand for a file system that does not answer.

use std::{fs::File, path::Path, process::Command};

/// Makes a named pipe, for its owner alone. Whoever opens one end of it waits until somebody opens the other.
///
/// # Panics
/// When it cannot be made.
pub fn make_pipe(path: &Path) {
    let made = Command::new("mkfifo").args(["-m", "600"]).arg(path).status();
    assert!(made.unwrap().success());
}

/// Opens both ends of a named pipe. Those that wait for one go on.
///
/// # Panics
/// When it cannot be opened.
#[must_use]
pub fn open_pipe(path: &Path) -> File {
    File::options().read(true).write(true).open(path).unwrap()
}
