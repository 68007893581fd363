//! Commands that only look create nothing and migrate nothing: a mistyped directory stays empty, and the command of the
//! next release can be tried beside a running system.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::{self, File, Permissions},
    io::pipe,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
};

use sqlx::{Connection as _, PgConnection};

use crate::support::{Deployment, Person, SmallDisk, System};

const LOOKING: [&[&str]; 14] = [
    &["audit", "key"],
    &["audit", "log"],
    &["audit", "verify"],
    &["events", "export"],
    &["events", "show", "1"],
    &["events", "stats"],
    &["events", "tail"],
    &["keys", "list"],
    &["keys", "master", "list"],
    &["parked", "list"],
    &["projection", "list"],
    &["projection", "status"],
    &["projection", "verify"],
    &["restore", "check"],
];

/// The files below a directory.
fn files(directory: &Path) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(directory) else {
        return BTreeSet::new();
    };
    entries
        .map(|entry| entry.unwrap().path())
        .flat_map(|path| {
            let below = files(&path);
            below.into_iter().chain([path.display().to_string()])
        })
        .collect()
}

#[tokio::test]
async fn embedded_looking_creates_nothing() {
    let mut system = System::start(Deployment::Embedded).await;
    Person::join(&system.base, "ada").await;
    system.terminate_all();
    let (log_alone, mistyped) = (system.directory().join("log-alone"), system.directory().join("mistyped"));
    fs::create_dir(&log_alone).unwrap();
    fs::copy(system.data_dir().join("events.db"), log_alone.join("events.db")).unwrap();
    for place in [&system.data_dir(), &log_alone, &mistyped] {
        let before = files(place);
        for arguments in LOOKING {
            let mut command = system.tool(arguments);
            let output = command.env("TASKLEDGER_DATA_DIR", place).output().unwrap();
            let after = files(place);
            assert_eq!(after, before, "{arguments:?}: {output:?}");
            // Keys that are nowhere are not taken for keys that agree.
            if arguments == ["restore", "check"] {
                assert_eq!(output.status.success(), *place == system.data_dir(), "{output:?}");
            }
        }
    }
    assert!(!mistyped.exists());
    system.stop().await;
}

#[tokio::test]
async fn embedded_backup_of_a_log_can_be_looked_into() {
    let mut system = System::start(Deployment::Embedded).await;
    Person::join(&system.base, "ada").await;
    system.terminate_all();
    let place = system.directory().join("backup");
    fs::create_dir(&place).unwrap();
    let looked = |arguments: &[&str]| {
        let mut command = system.tool(arguments);
        command.env("TASKLEDGER_DATA_DIR", &place).output().unwrap()
    };
    for name in ["events.bak", "events.db.bak"] {
        let backup = place.join(name);
        fs::copy(system.data_dir().join("events.db"), &backup).unwrap();
        let before = files(&place);
        let refused = looked(&["events", "stats"]);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success(), "{name}: {refused:?}");
        assert!(
            said.contains(name) && said.contains("as events.db") && !said.contains("migrate"),
            "{name}: {said}"
        );
        let url = format!("sqlite:{}", backup.display());
        let read = looked(&["events", "stats", "--event-store-url", &url]);
        assert!(read.status.success(), "{name}: {read:?}");
        assert_eq!(files(&place), before, "{name}");
        fs::remove_file(backup).unwrap();
    }
    system.stop().await;
}

#[tokio::test]
async fn embedded_log_can_be_looked_into_without_the_master_key() {
    let mut system = System::start(Deployment::Embedded).await;
    Person::join(&system.base, "ada").await;
    system.terminate_all();
    let master_keys = system.data_dir().join("keys/master-keys");
    let away = system.directory().join("master-keys");
    fs::rename(&master_keys, &away).unwrap();
    for (arguments, works) in
        [(&["events", "stats"][..], true), (&["events", "tail"], true), (&["projection", "verify"], false)]
    {
        let output = system.tool(arguments).output().unwrap();
        assert_eq!(output.status.success(), works, "{arguments:?}: {output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("TASKLEDGER_MASTER_KEYS or TASKLEDGER_KEYS_DIR"), "{arguments:?}: {said}");
    }
    fs::rename(away, master_keys).unwrap();
    system.stop().await;
}

/// Such as a mounted backup.
#[tokio::test(flavor = "multi_thread")]
async fn embedded_looking_works_on_a_really_read_only_disk() {
    let mut system = System::start(Deployment::Embedded).await;
    Person::join(&system.base, "ada").await;
    system.read_models_equal_the_log().await;
    system.terminate_all();
    let mounted = system.directory().join("mounted");
    let disk = SmallDisk::mount(mounted.clone(), 64)
        .expect("mounting is not allowed here: leave this test out with `--skip really_read_only_disk`");
    let (whole, with_wal) = (mounted.join("whole"), mounted.join("with-wal"));
    for backup in [&whole, &with_wal] {
        let copied = Command::new("cp").arg("-a").args([&system.data_dir(), backup]).status();
        assert!(copied.unwrap().success());
    }
    // As it is after changes were taken over into the file, while Taskledger runs.
    fs::write(with_wal.join("events.db-wal"), "").unwrap();
    disk.make_read_only();
    for arguments in LOOKING {
        let mut command = system.tool(arguments);
        let output = command.env("TASKLEDGER_DATA_DIR", &whole).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }
    let refused = |place: &Path, arguments: &[&str]| {
        let mut command = system.tool(arguments);
        // A command that waits for more ends, since nobody reads from it.
        let (_, unread) = pipe().unwrap();
        command.env("TASKLEDGER_DATA_DIR", place).stdout(unread);
        let output = command.output().unwrap();
        assert!(!output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    // It may change while it is read, or what is only in the -wal would be missing.
    let said = refused(&with_wal, &["events", "stats"]);
    assert!(said.contains("events.db") && said.contains("copy the whole directory"), "{said}");
    for following in [["events", "tail", "--follow"], ["audit", "log", "--follow"]] {
        let said = refused(&whole, &following);
        assert!(said.contains("cannot be followed"), "{following:?}: {said}");
    }
    let said = refused(&whole, &["users", "grant", "ada@example.org", "admin"]);
    assert!(said.contains("events.db") && said.contains("read-only"), "{said}");
    drop(disk);
    system.stop().await;
}

/// A command that the mode of a file stops. It stops everybody but root, who gives up the right to override it.
fn stopped_by_modes(program: impl AsRef<OsStr>) -> Command {
    const WITHOUT: &str = "-dac_override,-dac_read_search";
    let mut command = Command::new("setpriv");
    command.args(["--inh-caps", WITHOUT, "--bounding-set", WITHOUT]).arg(program);
    command
}

/// Such as a copy that somebody protects.
#[tokio::test]
async fn embedded_looking_leaves_nothing_beside_files_that_are_read_only() {
    let mut system = System::start(Deployment::Embedded).await;
    Person::join(&system.base, "ada").await;
    system.read_models_equal_the_log().await;
    system.terminate_all();
    let data = system.data_dir();
    let log = data.join("events.db");
    let before = files(&data);
    for file in before.iter().filter(|file| file.ends_with(".db")) {
        fs::set_permissions(file, Permissions::from_mode(0o400)).unwrap();
    }
    let overrides = File::options().append(true).open(&log).is_ok();
    if overrides {
        let mut reading = stopped_by_modes("sh");
        reading.args(["-c", "[ -r \"$0\" ] && ! true >>\"$0\""]).arg(&log);
        let outcome = reading.output();
        assert!(
            outcome.as_ref().is_ok_and(|output| output.status.success()),
            "root cannot be stopped here: leave this test out with `--skip files_that_are_read_only`: {outcome:?}"
        );
    }
    for arguments in LOOKING {
        let mut command = system.tool(arguments);
        if overrides {
            let settings = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
            let mut other = stopped_by_modes(command.get_program());
            other.args(arguments).env_clear().envs(settings);
            command = other;
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        assert_eq!(files(&data), before, "{arguments:?}");
    }
    system.stop().await;
}

/// Every migration that has been applied.
async fn migrations(connection: &mut PgConnection) -> Vec<String> {
    let mut applied = Vec::new();
    for schema in schemas(connection).await {
        let sql = format!("SELECT version::text FROM {schema}._sqlx_migrations ORDER BY version");
        let versions: Vec<String> = sqlx::query_scalar(&sql).fetch_all(&mut *connection).await.unwrap();
        applied.extend(versions.iter().map(|version| format!("{schema} {version}")));
    }
    applied
}

async fn schemas(connection: &mut PgConnection) -> Vec<String> {
    let sql = "SELECT schemaname::text FROM pg_tables WHERE tablename = '_sqlx_migrations' ORDER BY 1";
    sqlx::query_scalar(sql).fetch_all(connection).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_at_schemas_of_an_earlier_release_migrates_nothing_on_postgres() {
    let mut system = System::start(Deployment::Servers).await;
    Person::join(&system.base, "ada").await;
    system.read_models_equal_the_log().await;
    system.terminate_all();
    let url = system.database_url("events.db");
    let mut connection = PgConnection::connect(&url).await.unwrap();
    // To the commands, the newest migration of each schema that has several is one that is missing.
    for schema in schemas(&mut connection).await {
        let sql = format!(
            "DELETE FROM {schema}._sqlx_migrations
             WHERE version = (SELECT max(version) FROM {schema}._sqlx_migrations)
                AND version > (SELECT min(version) FROM {schema}._sqlx_migrations)"
        );
        sqlx::query(&sql).execute(&mut connection).await.unwrap();
    }
    let before = (schemas(&mut connection).await, migrations(&mut connection).await);
    for arguments in LOOKING {
        let output = system.tool(arguments).output().unwrap();
        // A command that migrates would fail here.
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        let after = (schemas(&mut connection).await, migrations(&mut connection).await);
        assert_eq!(after, before, "{arguments:?}");
    }
    connection.close().await.unwrap();
    system.stop().await;
}
