//! Files of the data directory are lost while the rest stays: they are named, and nothing replaces them unnoticed.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::Duration,
};

use database::{Database, Schema};
use tempfile::TempDir;

use crate::{
    restored_log::audit_tree_is_signed,
    start::refused,
    support::{Deployment, Person, Role, System, binary, until},
};

const TIMEOUT: Duration = Duration::from_secs(60);

/// A stopped system with somebody in it, whose audit tree is signed.
async fn stopped() -> System {
    let mut system = System::start(Deployment::Embedded).await;
    Person::join(&system.base, "ada").await;
    system.read_models_equal_the_log().await;
    audit_tree_is_signed(&system).await;
    system.terminate_all();
    system
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_check_names_each_part_that_is_missing() {
    let system = stopped().await;
    let check = |arguments: &[&str]| system.outcome(&[&["restore", "check"], arguments].concat());
    let (code, said) = check(&[]);
    assert_eq!(code, 0, "{said}");
    let aside = system.directory().join("aside");
    for (part, named, way_out) in [
        ("audit-tree.db", "the audit tree", "only a backup"),
        ("keys/audit", "sign the audit tree", "audit rotate-key"),
        ("keys/email-pepper", "the pepper", "backup of the keys"),
        ("keys/0-first.pem", "sign access tokens", "keys rotate"),
    ] {
        let place = system.data_dir().join(part);
        fs::rename(&place, &aside).unwrap();
        let (code, said) = check(&[]);
        assert!(code == 1 && said.contains(named) && said.contains(way_out), "{part}: {code} {said}");
        let (code, json) = check(&["--json"]);
        assert!(code == 1 && json.contains("\"agrees\":false"), "{part}: {code} {json}");
        if part.starts_with("keys") {
            let (code, said) = check(&["--repair"]);
            assert!(code == 1 && said.contains(named) && said.contains("NOT all"), "{part}: {code} {said}");
        }
        fs::rename(&aside, &place).unwrap();
        let (code, said) = check(&[]);
        assert_eq!(code, 0, "{part} is there again: {said}");
    }
    // The next start would replace both unnoticed.
    let parts = ["audit-tree.db", "keys/audit"].map(|part| system.data_dir().join(part));
    let aside = ["aside-tree", "aside-audit"].map(|name| system.directory().join(name));
    for (part, aside) in parts.iter().zip(&aside) {
        fs::rename(part, aside).unwrap();
    }
    for arguments in [&["--json"][..], &[]] {
        let (code, said) = check(arguments);
        assert!(
            code == 1 && (said.contains("a new origin") || said.contains("audit_tree_and_keys")),
            "{arguments:?}: {code} {said}"
        );
    }
    for (part, aside) in parts.iter().zip(&aside) {
        fs::rename(aside, part).unwrap();
    }
    let another = "ab".repeat(32);
    for (part, content, named) in [
        ("keys/email-pepper", "", "email-pepper cannot be used"),
        ("keys/email-pepper", &*another, "belongs to another event store"),
        ("keys/0-first.pem", "bla", "0-first.pem cannot be used"),
    ] {
        let place = system.data_dir().join(part);
        let right = fs::read(&place).unwrap();
        fs::write(&place, content).unwrap();
        for arguments in [&["--repair"][..], &[]] {
            let (code, said) = check(arguments);
            assert!(
                code == 1 && said.contains(named) && said.contains("auth does not start"),
                "{part} {arguments:?}: {code} {said}"
            );
        }
        fs::write(&place, right).unwrap();
    }
    // Each of several is named, and the tree goes on once its keys are whole.
    let parts = ["email-pepper", "0-first.pem", "1.pem", "audit/0-first.pem", "audit/1.pem"]
        .map(|name| system.data_dir().join("keys").join(name));
    let right = parts.each_ref().map(|part| fs::read(part).ok());
    for part in &parts {
        fs::write(part, "bla").unwrap();
    }
    for arguments in [&["--repair"][..], &["--json"], &[]] {
        let (code, said) = check(arguments);
        for part in &parts {
            let part = part.display().to_string();
            assert!(code == 1 && said.contains(&part), "{part} {arguments:?}: {code} {said}");
        }
        assert!(!said.contains("a tree of the new origin"), "{said}");
    }
    for (part, right) in parts.iter().zip(right) {
        match right {
            Some(content) => fs::write(part, content).unwrap(),
            None => fs::remove_file(part).unwrap(),
        }
    }
    let (code, said) = check(&[]);
    assert_eq!(code, 0, "{said}");
    system.stop().await;
}

/// A directory that may hold a system although there are files in it.
fn private_directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o700)).unwrap();
    directory
}

/// Copies a file, or a directory of files.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    if from.is_file() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_log_that_is_lost_is_not_replaced_by_an_empty_one() {
    let mut system = stopped().await;
    let data = system.data_dir();
    let said = "is missing, and";
    for trace in ["read-models.db", "operations.db", "audit-tree.db", "keys/audit"] {
        let other = private_directory();
        copy(&data.join(trace), &other.path().join(trace));
        let place = other.path().display().to_string();
        let sentence = refused(&[], &[("TASKLEDGER_DATA_DIR", &place)]);
        assert!(
            sentence.contains(said) && sentence.contains("restore it from its backup"),
            "{trace}: {sentence}"
        );
        assert!(!other.path().join("events.db").exists(), "{trace}");
        // Commands that need another file which is not there say it, too.
        for (command, needed) in [
            (["parked", "list"], "read-models.db"),
            (["projection", "list"], "read-models.db"),
            (["audit", "log"], "read-models.db"),
            (["audit", "key"], "audit-tree.db"),
        ] {
            if needed == trace {
                continue;
            }
            let mut tool = system.tool(&command);
            let output = tool.env("TASKLEDGER_DATA_DIR", &place).output().unwrap();
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(
                !output.status.success() && told.contains(said) && !told.contains("migrate"),
                "{trace} {command:?}: {told}"
            );
        }
    }

    let export = system.directory().join("export").display().to_string();
    system.run(&["events", "export", "--output", &export]);
    let keys = system.database_url("subject-keys.db");
    let (export, keys) = (export.as_str(), keys.as_str());
    fs::rename(data.join("events.db"), system.directory().join("aside")).unwrap();
    let place = data.display().to_string();
    let sentence = refused(&[], &[("TASKLEDGER_DATA_DIR", &place)]);
    assert!(sentence.contains(said), "{sentence}");
    // Nor is it by a command, and nobody is told to start the system or to migrate. A file without anything is no log.
    for is_empty_file in [false, true] {
        if is_empty_file {
            fs::copy(system.directory().join("aside"), data.join("events.db")).unwrap();
            File::create(data.join("events.db")).unwrap();
        }
        for command in [
            &["migrate"][..],
            &["restore", "check"],
            &["restore", "check", "--repair"],
            &["users", "grant", "ada@example.org", "admin"],
            &["users", "erase", "ada@example.org", "--yes"],
            &["keys", "generate"],
            &["keys", "rotate"],
            &["keys", "master", "rotate"],
            &["audit", "rotate-key"],
            &["audit", "verify"],
            &["events", "stats"],
            &["events", "export"],
            &["events", "import", export],
            &["events", "import", "--dry-run", export],
            &["keys", "copy", "--from", keys],
            &["projection", "status"],
            &["projection", "verify"],
            &["projection", "rebuild", "--yes"],
        ] {
            let (code, told) = system.outcome(command);
            assert!(
                code == 1 && told.contains(said) && told.contains("restore it from its backup"),
                "{command:?}: {code} {told}"
            );
            // Another log that takes its place needs the keys.
            let brings_another = ["migrate", "import", "copy"].iter().any(|name| command.contains(name));
            assert!(
                told.contains("and nothing else") == brings_another
                    && told.contains("`taskledger events import`") == brings_another
                    && told.contains("and the keys in") != brings_another,
                "{command:?}: {told}"
            );
        }
        assert_eq!(data.join("events.db").exists(), is_empty_file);
    }
    // Nor is an empty log that somebody has brought meanwhile.
    let other = tempfile::tempdir().unwrap();
    let mut migrate = system.tool(&["migrate"]);
    let migrated = migrate.env("TASKLEDGER_DATA_DIR", other.path()).output().unwrap();
    assert!(migrated.status.success(), "{migrated:?}");
    fs::copy(other.path().join("events.db"), data.join("events.db")).unwrap();
    // No command writes to it or removes what shows that it is lost, and none is recommended that would.
    for command in [
        &["restore", "check", "--repair"][..],
        &["keys", "rotate"],
        &["audit", "rotate-key"],
        &["events", "import", export],
        &["keys", "copy", "--from", keys],
    ] {
        let (code, said) = system.outcome(command);
        assert!(code == 1 && said.contains("is empty, and"), "{command:?}: {code} {said}");
    }
    let (code, said) = system.outcome(&["restore", "check"]);
    assert!(
        code == 1 && said.contains("restore it from its backup") && !said.contains("run it again with"),
        "{code} {said}"
    );
    let sentence = refused(&[], &[("TASKLEDGER_DATA_DIR", &place)]);
    assert!(sentence.contains("is empty, and"), "{sentence}");
    // An export may take the place of the log once nothing is there that has read it. The audit tree may.
    let others = ["read-models", "operations"].map(|name| data.join(format!("{name}.db")));
    let kept = ["kept-models", "kept-operations"].map(|name| system.directory().join(name));
    for (other, kept) in others.iter().zip(&kept) {
        fs::rename(other, kept).unwrap();
    }
    let imported = system.run(&["events", "import", export]);
    assert!(imported.contains("imported"), "{imported}");
    for (other, kept) in others.iter().zip(&kept) {
        fs::rename(kept, other).unwrap();
    }
    fs::rename(system.directory().join("aside"), data.join("events.db")).unwrap();
    system.launch(Role::Up);
    system.ready().await;
    system.read_models_equal_the_log().await;

    // The keys of people, of auth and of the audit tree are no sign of a log.
    system.terminate_all();
    for name in ["events", "read-models", "operations", "audit-tree", "subject-keys"] {
        fs::remove_file(data.join(format!("{name}.db"))).unwrap();
    }
    for file in fs::read_dir(data.join("keys/audit")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "checkpoint") {
            fs::remove_file(path).unwrap();
        }
    }
    system.launch(Role::Up);
    system.ready().await;
    Person::join(&system.base, "bob").await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn log_that_is_lost_is_not_replaced_while_one_trace_is_left_on_postgres_and_rabbitmq() {
    let mut system = System::start(Deployment::Servers).await;
    Person::join(&system.base, "ada").await;
    system.read_models_equal_the_log().await;
    audit_tree_is_signed(&system).await;
    let operations = Database::connect(&system.store_url(), Schema::Operations, 1).await.unwrap();
    until("the relay has published", TIMEOUT, async || {
        let sql = "SELECT read_up_to FROM relay_progress WHERE read_up_to > 0";
        operations.fetch_optional(sql, &[]).await.unwrap().is_some()
    })
    .await;
    system.terminate_all();
    let delete = async |table: &str| {
        let sql = format!("DELETE FROM {table}");
        assert!(operations.execute(&sql, &[]).await.unwrap() > 0, "{table}");
    };
    delete("event_store.events").await;
    let settings =
        ["DATABASE_URL", "AMQP_URL", "TASKLEDGER_BUS_NAMESPACE"].map(|it| (it, system.setting(it)));
    for (role, made_from_it, table) in [
        ("projector", "the read models were projected from", "read_models.checkpoints"),
        ("command-api", "the relay has published", "operations.relay_progress"),
        ("query-api", "the audit tree was made of", "audit_tree.trees"),
    ] {
        let elsewhere = private_directory();
        let mut command = binary();
        command.arg(role).envs(settings);
        for name in ["TASKLEDGER_LISTEN", "TASKLEDGER_ADMIN_LISTEN"] {
            command.env(name, "127.0.0.1:0");
        }
        let output = command.env("TASKLEDGER_DATA_DIR", elsewhere.path()).output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{role}: {said}");
        let sentence = format!("is empty, and {made_from_it} one with events");
        assert!(said.contains(&sentence), "{role}: {said}");
        delete(table).await;
    }
    operations.close().await;
    system.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_log_that_never_had_an_event_is_not_lost() {
    let mut system = System::start(Deployment::Embedded).await;
    let audit = system.data_dir().join("keys/audit");
    let is_signed = || {
        let files = fs::read_dir(&audit).into_iter().flatten();
        files.filter_map(Result::ok).any(|file| file.path().extension().is_some_and(|it| it == "checkpoint"))
    };
    until("the empty tree is signed", TIMEOUT, async || is_signed()).await;
    system.terminate_all();
    system.launch(Role::Up);
    system.ready().await;

    // Keys that are made before the first event are recorded in the log.
    system.terminate_all();
    fs::remove_file(system.data_dir().join("events.db")).unwrap();
    system.run(&["migrate"]);
    system.run(&["keys", "generate"]);
    system.launch(Role::Up);
    system.ready().await;
    system.stop().await;
}
