//! Whose files are, and whose are refused.

use super::*;

/// The user `nobody`.
const SOMEBODY: u32 = 65_534;

#[test]
fn what_root_creates_belongs_to_the_owner_of_what_was_there() {
    if !rustix::process::geteuid().is_root() {
        eprintln!(
            "SKIPPED, since it is not run by root: what root creates belongs to the owner of what was there"
        );
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    std::os::unix::fs::chown(directory.path(), Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    file(&at("file")).unwrap();
    open_locked(&at("locked")).unwrap().unwrap();
    open_to_append(&at("appended")).unwrap();
    create_whole(&at("whole"), b"new").unwrap();
    replace(&at("new"), b"new").unwrap();
    fs::write(at("of root"), "old").unwrap();
    replace(&at("of root"), b"new").unwrap();
    create_directory(&at("one/two")).unwrap();
    replace(&at("one/two/three"), b"new").unwrap();
    for name in ["file", "locked", "appended", "whole", "new", "one", "one/two", "one/two/three"] {
        let metadata = fs::metadata(at(name)).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (SOMEBODY, SOMEBODY), "{name}");
        assert_eq!(metadata.mode() & OF_OTHERS, 0, "{name}");
    }
    assert_eq!(fs::metadata(at("of root")).unwrap().uid(), 0, "as what it replaces");

    // It is read as what belongs to the system, unlike the file of a third user.
    assert_eq!(read_key(&at("whole")).unwrap(), "new");
    std::os::unix::fs::chown(at("whole"), Some(1), None).unwrap();
    let refused = read_key(&at("whole")).unwrap_err().to_string();
    assert!(refused.contains("belongs to user 1"), "{refused}");

    // What is written there for another purpose may be nothing for that owner.
    create_or_accept(&at("export")).unwrap();
    write_new(&at("excerpt"), b"new").unwrap();
    for name in ["export", "excerpt"] {
        assert_eq!(fs::metadata(at(name)).unwrap().uid(), 0, "{name}");
    }

    // What stands there already is nobody's to give away.
    let elsewhere = tempfile::tempdir().unwrap();
    let theirs = elsewhere.path().join("theirs");
    fs::write(&theirs, "").unwrap();
    std::os::unix::fs::symlink(&theirs, at("link")).unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), at("linked")).unwrap();
    open_locked(&at("link")).unwrap().unwrap();
    open_to_append(&at("link")).unwrap();
    create_directory(&at("linked")).unwrap();
    for path in [elsewhere.path(), &theirs] {
        assert_eq!(fs::metadata(path).unwrap().uid(), 0, "{path:?}");
    }
}

#[test]
fn a_file_of_somebody_else_is_refused() {
    let file = std::env::current_exe().unwrap();
    assert!(require_own(&file).is_ok());
    let owner = fs::metadata(&file).unwrap().uid();
    let refused = require_owner(&file, owner + 1).err().map(|error| error.to_string());
    let is_of_root = owner == 0;
    assert_eq!(refused.is_none(), is_of_root, "{refused:?}");
}
