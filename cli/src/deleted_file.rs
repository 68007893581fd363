//! Finds the file of a SQLite database that was deleted or replaced while a process has it open. Linux keeps such a
//! file until the process ends, so it may be the only copy of the last events.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where the deleted file of the database at `url` can still be read, below `/proc`. `None` also on other systems, and
/// if this user may not look into the process.
pub(crate) async fn still_open(url: &str) -> Option<PathBuf> {
    let file = PathBuf::from(url.strip_prefix("sqlite:")?);
    let found = runtime::read_at_start(move || find(&file)).await;
    found.ok().flatten()
}

fn find(file: &Path) -> Option<PathBuf> {
    let directory = fs::canonicalize(file.parent()?).ok()?;
    let mut deleted = directory.join(file.file_name()?).into_os_string();
    deleted.push(" (deleted)");
    let deleted = PathBuf::from(deleted);
    let processes = fs::read_dir("/proc").ok()?;
    let processes = processes.filter_map(Result::ok);
    let open = processes.filter_map(|process| fs::read_dir(process.path().join("fd")).ok());
    let mut open = open.flatten().filter_map(Result::ok).map(|open| open.path());
    open.find(|open| fs::read_link(open).is_ok_and(|target| target == deleted))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_file_is_found_once_it_is_deleted_and_until_it_is_closed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("events.db");
        fs::write(&file, "events").unwrap();
        let open = fs::File::open(&file).unwrap();
        assert_eq!(find(&file), None);
        fs::remove_file(&file).unwrap();
        let mut text = String::new();
        let found = fs::File::open(find(&file).unwrap()).unwrap();
        (&found).read_to_string(&mut text).unwrap();
        assert_eq!(text, "events");
        drop(found);
        // Another file in its place changes nothing.
        fs::write(&file, "").unwrap();
        assert!(find(&file).is_some());
        drop(open);
        assert_eq!(find(&file), None);
    }
}
