//! The directory of keys: created once, used by all, and private.

use events::EmailAddress;

use super::*;

fn fingerprint(keys: &Keys) -> (String, String) {
    let email = EmailAddress::parse("ada@example.com").unwrap();
    (keys.keyring.signing(Timestamp::MAX).unwrap().kid.clone(), keys.pepper.key_of(&email).0)
}

#[test]
fn the_first_start_creates_what_the_next_one_reads() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path().join("keys");
    let first = open(&directory, true).unwrap();
    let second = open(&directory, false).unwrap();
    let third = open(&directory, true).unwrap();
    assert_eq!(fingerprint(&first), fingerprint(&second));
    assert_eq!(fingerprint(&first), fingerprint(&third));
    let mut names: Vec<_> =
        fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, [FIRST_KEY, PEPPER], "no draft is left behind");
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_them() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    open(directory.path(), true).unwrap();
    for name in [FIRST_KEY, PEPPER] {
        let mode = fs::metadata(directory.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn many_first_starts_at_once_agree() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let barrier = std::sync::Barrier::new(8);
    let found: Vec<_> = std::thread::scope(|scope| {
        let start = || {
            barrier.wait();
            fingerprint(&open(path, true).unwrap())
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(found.iter().all(|one| *one == found[0]), "{found:?}");
}

#[test]
fn nothing_is_made_up_once_there_are_events() {
    let directory = tempfile::tempdir().unwrap();
    let lost = open(directory.path(), false).unwrap_err();
    assert!(matches!(lost, KeysUnusable::Lost(_)), "{lost}");
    open(directory.path(), true).unwrap();
    fs::remove_file(directory.path().join(PEPPER)).unwrap();
    let lost = open(directory.path(), false).unwrap_err();
    assert!(lost.to_string().contains("email-pepper is missing, but the event store"), "{lost}");
}

#[test]
fn a_process_that_holds_the_only_copy_is_not_to_be_stopped() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path(), true).unwrap();
    let path = directory.path().join(PEPPER);
    let said = || read(directory.path()).unwrap_err().while_running();
    fs::write(&path, "nonsense").unwrap();
    let damaged = said();
    fs::remove_file(&path).unwrap();
    for said in [damaged, said()] {
        assert!(
            said.contains(PEPPER) && said.contains("do not stop") && !said.contains("start Taskledger once"),
            "{said}"
        );
    }
}

#[test]
fn what_is_missing_is_named_by_its_part() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path().join("keys");
    let missing = || {
        let (_, defects) = defects(&directory);
        assert!(defects.unusable.is_empty(), "{defects:?}");
        defects.missing
    };
    assert_eq!(missing(), [KeyPart::Pepper, KeyPart::SigningKeys]);
    open(&directory, true).unwrap();
    assert!(missing().is_empty());
    fs::remove_file(directory.join(PEPPER)).unwrap();
    assert_eq!(missing(), [KeyPart::Pepper]);
    fs::remove_file(directory.join(FIRST_KEY)).unwrap();
    open(&directory, true).unwrap();
    // A key that is only published signs nothing.
    let next = directory.join(format!("1{NEXT}"));
    fs::rename(directory.join(FIRST_KEY), next).unwrap();
    assert_eq!(missing(), [KeyPart::SigningKeys]);
}

#[test]
fn each_file_that_cannot_be_used_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    open(directory, true).unwrap();
    let damaged = [PEPPER, FIRST_KEY, "1.pem"].map(|name| directory.join(name));
    for path in &damaged {
        fs::write(path, "nonsense").unwrap();
    }
    let (pepper, defects) = defects(directory);
    assert!(pepper.is_none() && defects.missing.is_empty(), "{defects:?}");
    assert_eq!(defects.unusable.len(), damaged.len(), "{defects:?}");
    for (path, unusable) in damaged.iter().zip(&defects.unusable) {
        assert!(unusable.to_string().contains(&path.display().to_string()), "{unusable}");
    }
}

#[test]
fn the_key_whose_name_sorts_last_signs() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path(), true).unwrap();
    let pem = SigningKey::generate(SigningAlgorithm::EdDsa).unwrap();
    create(&directory.path().join(format!("{}.pem", runtime::new_id())), &pem).unwrap();
    let both = read(directory.path()).unwrap();
    assert_eq!(both.keyring.signing(Timestamp::MAX).unwrap().kid, SigningKey::from_pem(&pem).unwrap().kid);
    assert!(both.keyring.get(&first.keyring.signing(Timestamp::MAX).unwrap().kid).is_some());
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;

    let directory = tempfile::tempdir().unwrap();
    open(directory.path(), true).unwrap();
    for name in [FIRST_KEY, PEPPER] {
        for (mode, refused) in [(0o640, true), (0o604, true), (0o400, false), (0o600, false)] {
            let path = directory.path().join(name);
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            match read(directory.path()) {
                Ok(_) => assert!(!refused, "{name} {mode:o}"),
                Err(error) => {
                    let error = error.to_string();
                    assert!(refused && error.contains(&format!("chmod 600 {}", path.display())), "{error}");
                }
            }
        }
    }
}

#[test]
fn a_key_that_somebody_else_has_put_there_is_refused() {
    use std::os::unix::fs::{MetadataExt as _, chown};

    let directory = tempfile::tempdir().unwrap();
    open(directory.path(), true).unwrap();
    let path = directory.path().join(FIRST_KEY);
    if fs::metadata(&path).unwrap().uid() != 0 {
        // Only root can change the owner of a file.
        assert!(chown(&path, Some(0), None).is_err());
        return;
    }
    chown(&path, Some(65_534), None).unwrap();
    let error = read(directory.path()).err().unwrap().to_string();
    assert!(error.contains("belongs to user 65534"), "{error}");
}

#[test]
fn a_spoiled_file_is_named() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path(), true).unwrap();
    fs::write(directory.path().join(FIRST_KEY), "nonsense").unwrap();
    let error = read(directory.path()).unwrap_err().to_string();
    assert!(
        error.contains(FIRST_KEY) && error.contains("Ed25519 or P-256") && error.contains("keys rotate"),
        "{error}"
    );
    // The way out that it names, for a key that is in no backup.
    fs::rename(directory.path().join(FIRST_KEY), directory.path().join("damaged")).unwrap();
    let now = Timestamp::from_micros(1_900_000_000_000_000);
    let made = crate::keys::rotate(directory.path(), SigningAlgorithm::EdDsa, now).unwrap();
    let keys = open(directory.path(), false).unwrap();
    assert_eq!(keys.keyring.signing(now).unwrap().kid, made.kid);
}
