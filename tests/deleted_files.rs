//! Databases are deleted while a process uses them. Linux keeps such a file until the process ends.

use std::{fs, path::Path};

use crate::{
    restored_log::audit_tree_is_signed,
    support::{Deployment, Person, Role, System},
};

#[tokio::test(flavor = "multi_thread")]
async fn embedded_log_that_was_deleted_is_rescued_from_the_process_that_has_it_open() {
    let mut system = System::start(Deployment::Embedded).await;
    Person::join(&system.base, "ada").await;
    system.read_models_equal_the_log().await;
    audit_tree_is_signed(&system).await;
    let log = system.data_dir().join("events.db");
    fs::remove_file(&log).unwrap();
    for command in
        [&["restore", "check"][..], &["events", "export"], &["users", "grant", "ada@example.org", "admin"]]
    {
        let (code, said) = system.outcome(command);
        assert!(
            code == 1 && said.contains("do not stop that before the file is copied"),
            "{command:?}: {code} {said}"
        );
    }
    let (_, said) = system.outcome(&["restore", "check"]);
    let (_, open) = said.split_once("has it open, as ").unwrap();
    let (open, _) = open.split_once(": ").unwrap();
    let all_open = fs::read_dir(Path::new(open).parent().unwrap()).unwrap();
    let mut all_open = all_open.map(|open| open.unwrap().path());
    let open_wal = all_open
        .find(|open| fs::read_link(open).is_ok_and(|file| file.to_string_lossy().contains("events.db-wal")));
    let wal = log.with_extension("db-wal");
    let copies = ["copy", "copy-wal"].map(|name| system.directory().join(name));
    fs::copy(open, &copies[0]).unwrap();
    fs::copy(open_wal.unwrap(), &copies[1]).unwrap();
    system.kill(Role::Up);
    for name in ["events.db", "events.db-wal", "events.db-shm"] {
        let _ = fs::remove_file(system.data_dir().join(name));
    }
    let (code, said) = system.outcome(&["restore", "check"]);
    assert!(code == 1 && said.contains("is missing, and") && !said.contains("/proc/"), "{code} {said}");
    fs::rename(&copies[0], log).unwrap();
    fs::rename(&copies[1], wal).unwrap();
    let (code, said) = system.outcome(&["restore", "check"]);
    assert_eq!(code, 0, "{said}");
    system.launch(Role::Up);
    system.ready().await;
    system.read_models_equal_the_log().await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_rebuild_of_deleted_read_models_says_that_a_restart_is_needed() {
    let mut system = System::start(Deployment::Embedded).await;
    Person::join(&system.base, "ada").await;
    system.read_models_equal_the_log().await;
    for suffix in ["", "-wal", "-shm"] {
        fs::remove_file(system.data_dir().join(format!("read-models.db{suffix}"))).unwrap();
    }
    let rebuild = ["projection", "rebuild", "--yes"];
    let (code, said) = system.outcome(&rebuild);
    assert!(code == 3 && said.contains("restart it") && !said.contains("are in use"), "{code} {said}");
    system.kill(Role::Up);
    system.launch(Role::Up);
    system.ready().await;
    system.read_models_equal_the_log().await;
    let (code, said) = system.outcome(&rebuild);
    assert!(code == 0 && said.contains("are in use"), "{code} {said}");
    system.stop().await;
}
