//! Master keys are made once, read again, and kept private.

use test_support::{make_pipe, open_pipe};

use super::*;

#[test]
fn the_first_start_makes_a_private_file_and_many_at_once_agree() {
    use std::os::unix::fs::PermissionsExt as _;

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys/master-keys");
    assert!(matches!(MasterKeys::open_or_create(&path, false), Err(KeyError::Missing(_))));
    let open = || MasterKeys::open_or_create(&path, true).unwrap().ids();
    let ids = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        let ids = threads.into_iter().map(|thread| thread.join().unwrap());
        ids.collect::<Vec<_>>()
    });
    assert!(ids.iter().all(|one| *one == ids[0] && one.len() == 1), "{ids:?}");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no draft is left");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = MasterKeys::open_or_create(&path, true).unwrap_err().to_string();
    assert!(refused.contains("chmod 600"), "{refused}");
}

#[test]
fn what_is_no_key_is_refused_without_showing_it() {
    let key = "ab".repeat(32);
    for text in ["", " ", "ab", &key[1..], &format!("{key},{}", "zz".repeat(32))] {
        let refused = MasterKeys::from_setting("THE_SETTING", text).unwrap_err();
        assert!(matches!(&refused, KeyError::Malformed(place) if place == "THE_SETTING"));
    }
    let two = MasterKeys::from_setting("THE_SETTING", &format!("{key},{}", "cd".repeat(32))).unwrap();
    assert_eq!(two.ids().len(), 2);
    assert!(!format!("{two:?}").contains("abab"), "{two:?}");
}

#[tokio::test]
async fn a_key_that_another_process_adds_is_found_and_the_old_one_is_not_taken_out_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("master-keys");
    let ours = MasterKeys::open_or_create(&path, true).unwrap();
    let theirs = MasterKeys::from_file(&path).unwrap();
    let old = ours.ids();
    let lock = theirs.lock_file().await.unwrap();
    assert!(matches!(ours.lock_file().await, Err(KeyError::InUse(_))));
    let new = theirs.add(&lock).await.unwrap().unwrap();
    assert_eq!(theirs.ids(), [new.clone(), old[0].clone()]);
    let renewed = ours.renewed().await;
    assert_eq!(renewed[0].id, new);
    assert!(matches!(theirs.require_settled(), Err(KeyError::NotRetired(_))));
    let long_ago = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::File::options().append(true).open(&path).unwrap().set_modified(long_ago).unwrap();
    theirs.require_settled().unwrap();
    theirs.forget_old(&lock).await.unwrap();
    assert_eq!(MasterKeys::from_file(&path).unwrap().ids(), [new]);
}

#[tokio::test]
async fn a_file_that_does_not_answer_keeps_nobody_from_the_known_keys() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("master-keys");
    let keys = MasterKeys::open_or_create(&path, true).unwrap();
    let known = keys.ids();
    fs::remove_file(&path).unwrap();
    make_pipe(&path);
    // Whoever reads a pipe waits as long as somebody may write.
    let writer = open_pipe(&path);
    for _ in 0..2 {
        let renewed = keys.renewed().await;
        assert_eq!(renewed.iter().map(|key| &key.id).collect::<Vec<_>>(), [&known[0]]);
    }
    drop(writer);
}

#[tokio::test]
async fn keys_of_a_pipe_are_not_read_again_and_not_changed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("master-keys");
    // Whoever read it again would find other keys.
    fs::write(&path, "cd".repeat(32)).unwrap();
    let keys = MasterKeys::from_pipe(&path, &format!("{}\n", "ab".repeat(32))).unwrap();
    let known = keys.ids();
    keys.read_again().await.unwrap();
    assert_eq!(keys.ids(), known);
    let refused = keys.lock_file().await.unwrap_err().to_string();
    assert!(refused.contains("regular file") && refused.contains("master-keys"), "{refused}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}
