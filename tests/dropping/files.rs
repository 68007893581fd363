//! Which existing file a run continues, and what it does with it.

use std::{
    fs,
    os::unix::fs::{OpenOptionsExt as _, symlink},
    path::Path,
};

use events::UserId;
use uuid::Uuid;

use super::{BEFORE, LONG_AGO, Old, old_session};
use crate::support::{Deployment, Person, System};

async fn with_old_sessions(times: &[&str]) -> Old {
    let system = System::start(Deployment::Embedded).await;
    Person::join(&system.base, "ada").await;
    let store = system.open_log().await;
    for at in times {
        old_session(&*store, UserId(Uuid::now_v7()), true, at).await;
    }
    system.read_models_equal_the_log().await;
    Old::of(system).await
}

fn write(path: &str, mode: u32, text: &str) {
    use std::io::Write as _;
    let file = fs::File::options().write(true).create_new(true).mode(mode).open(path);
    file.unwrap().write_all(text.as_bytes()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_somebody_elses_is_refused_and_left_as_it_is() {
    let mut old = with_old_sessions(&[LONG_AGO]).await;
    let refused = |file: &str, why: &str| {
        for dry_run in [&["--dry-run"][..], &[]] {
            let arguments = old.drop(file);
            let arguments: Vec<&str> =
                arguments.iter().map(String::as_str).chain(dry_run.iter().copied()).collect();
            let (code, said) = old.system.outcome(&arguments);
            assert!(code != 0 && said.contains(why), "{file} {dry_run:?}: {said}");
            assert!(!said.contains("events export"), "{said}");
        }
    };
    write(&old.path("empty"), 0o600, "");
    refused("empty", "no whole export");

    symlink(old.path("nowhere"), old.path("link")).unwrap();
    refused("link", "leads nowhere");
    assert!(!Path::new(&old.path("nowhere")).exists());
    assert!(fs::symlink_metadata(old.path("link")).unwrap().is_symlink());

    write(&old.path("foreign.partial"), 0o600, "Mine");
    refused("foreign", "is there already");
    assert_eq!(fs::read_to_string(old.path("foreign.partial")).unwrap(), "Mine");
    assert!(!Path::new(&old.path("foreign")).exists());

    assert_eq!(old.dropped().await, 0);
    old.run_drop("dropped");
    assert!(!Path::new(&old.path("dropped.partial")).exists());
    assert_eq!(old.dropped().await, 3);
    let text = fs::read_to_string(old.path("dropped")).unwrap();
    write(&old.path("readable"), 0o644, &text);
    refused("readable", "chmod 600");
    old.system.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_ended_since_is_not_in_the_file_of_an_earlier_run_and_it_is_said_so() {
    let mut old = with_old_sessions(&[LONG_AGO, "2025-07-01T12:00:00Z"]).await;
    let later = |file: &str| {
        let mut arguments = old.drop(file);
        for argument in &mut arguments {
            if argument == BEFORE {
                "2025-09-01T00:00:00Z".clone_into(argument);
            }
        }
        arguments
    };
    old.run_drop("first");
    assert_eq!(old.dropped().await, 3);
    let arguments = later("first");
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    for (dry_run, done) in [
        (&["--dry-run"][..], "would drop the payloads of 0 events, out of 3 in the file"),
        (&[], "dropped 0 payloads of 3 "),
    ] {
        let said = old.run(&[&arguments, dry_run].concat());
        assert!(said.contains("LEFT OUT: 3 payloads of what has ended by then"), "{said}");
        assert!(said.contains(done), "{said}");
    }
    let arguments = later("second");
    old.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(old.dropped().await, 6);
    old.system.clean().await;
}
