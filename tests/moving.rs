//! The log is moved between stores and stays the same log. Events that earlier builds wrote in clear are sealed on
//! the way.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use database::{Database, Schema};
use event_store::UnfinishedImport;
use kurrentdb_stand_in::StandIn;
use serde_json::json;
use tempfile::TempDir;
use test_support::TestDatabase;

use crate::{
    erasure::{WORDS, leave_traces, nothing_is_left},
    support::{Deployment, Person, Role, System, amqp_url, binary, free_port},
};

/// A data directory to move a log to, with the keys directory of the original system.
pub(crate) struct Place {
    directory: TempDir,
    settings: Vec<(&'static str, String)>,
}

impl Place {
    pub(crate) fn new(keys: &Path, settings: Vec<(&'static str, String)>) -> Self {
        let mut place = Self::without_keys();
        place.settings = settings;
        for entry in fs::read_dir(keys).unwrap().map(Result::unwrap) {
            if entry.path().is_file() {
                fs::copy(entry.path(), place.data_dir().join("keys").join(entry.file_name())).unwrap();
            }
        }
        place
    }

    fn without_keys() -> Self {
        let place = Self { directory: TempDir::new().unwrap(), settings: Vec::new() };
        fs::create_dir_all(place.data_dir().join("keys")).unwrap();
        place
    }

    fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn store_url(&self) -> String {
        let url = |name| self.settings.iter().find(|(setting, _)| *setting == name);
        match url("EVENT_STORE_URL").or_else(|| url("DATABASE_URL")) {
            Some((_, url)) => url.clone(),
            None => Database::file_url(&self.data_dir().join("events.db")),
        }
    }

    fn file(&self) -> String {
        self.directory.path().join("export").display().to_string()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = binary();
        command.args(arguments).env("TASKLEDGER_DATA_DIR", self.data_dir());
        command.envs(self.settings.iter().cloned());
        command
    }

    fn tool(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let output = self.tool(arguments);
        assert!(output.status.success(), "{arguments:?} {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must fail, and returns its output. It is killed if it does not end, as a role would that
    /// is not refused.
    #[track_caller]
    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let end = Instant::now() + Duration::from_secs(60);
        while child.try_wait().unwrap().is_none() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
        let ended_by_itself = child.try_wait().unwrap().is_some();
        // This has no effect on a process that has ended.
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(ended_by_itself && !output.status.success(), "{arguments:?} {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Copies the keys, imports the export with a record of it, and returns the file that the log here exports to.
    fn take_over(&self, keys: &str, export: &str, says: &str) -> String {
        let refused = self.refused(&["events", "import", export]);
        assert!(refused.contains("whose keys are not here"), "{refused}");
        self.run(&["keys", "copy", "--from", keys]);
        let because = ["--by", "grace", "--reason", "Ticket 1"];
        let said = self.run(&[&["events", "import", export], &because[..]].concat());
        assert!(said.contains(says), "{said}");
        let recorded = self.run(&["events", "tail", "-n", "2", "--json"]);
        assert!(
            recorded.contains(r#""by":"grace","command":"events import","reason":"Ticket 1""#)
                && recorded.contains(r#""outcome":"succeeded""#),
            "{recorded}"
        );
        let again = self.run(&["events", "import", export]);
        assert!(again.contains("imported 0 events"), "{again}");
        self.run(&["events", "export", "--output", &self.file()]);
        fs::read_to_string(self.file()).unwrap()
    }
}

/// The export without its last line. A log that has grown begins with the same lines.
fn beginning(export: &str) -> &str {
    &export[..export.trim_end().rfind('\n').unwrap() + 1]
}

// The runtime has more than one thread, since waiting for a command blocks one, and the stand-in has to run
// meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_in_clear_is_sealed_on_its_way_and_then_moves_between_postgres_and_all_other_stores() {
    let mut system = System::launched(Deployment::Embedded, 1).await;
    system.kill(Role::Up);
    system.set("TASKLEDGER_SEAL_EVENTS", "false");
    system.launch(Role::Up);
    system.ready().await;
    let quagga = leave_traces(&system).await;
    let quagga_id = quagga.get("/auth/me").await.expect(200).body["user"]["id"].clone();
    let mut stays = Person::join(&system.base, "stays").await;
    let task = stays.post("/tasks", json!({"title": "Stays"})).await.expect(201).body;

    // The export begins beside the running system, is broken off, and continues after the system has stopped.
    let file = system.directory().join("export");
    let export = file.to_str().unwrap();
    system.run(&["events", "export", "--output", export]);
    let whole = fs::read_to_string(&file).unwrap();
    assert!(whole.contains("quagga-title") && whole.contains("argon2id"));
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let done = format!("/tasks/{}/complete", task["id"].as_str().unwrap());
    stays.post(&done, json!({})).await.expect(200);
    system.terminate_all();
    system.run(&["events", "export", "--output", export]);
    assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), whole.lines().count() + 1);

    // The log goes to an empty directory, with only the keys of the system.
    let former = system.directory().join("former");
    fs::rename(system.data_dir(), &former).unwrap();
    fs::create_dir(system.data_dir()).unwrap();
    fs::rename(former.join("keys"), system.data_dir().join("keys")).unwrap();
    fs::remove_dir_all(former).unwrap();
    system.set("TASKLEDGER_SEAL_EVENTS", "true");
    let said = system.run(&["events", "import", "--dry-run", export]);
    assert!(said.contains("SEALED on the way") && said.contains("nothing was written"), "{said}");
    assert!(!system.data_dir().join("events.db").exists());
    let said = system.run(&["events", "import", export]);
    assert!(said.contains("SEALED on the way"), "{said}");
    fs::remove_file(&file).unwrap();
    system.launch(Role::Up);
    system.ready().await;
    system.read_models_equal_the_log().await;
    system.run(&["audit", "verify"]);
    stays.log_in().await;
    let tasks = stays.get("/tasks").await.expect(200).body;
    assert_eq!(
        (&tasks["items"][0]["title"], &tasks["items"][0]["status"]),
        (&json!("Stays"), &json!("done"))
    );
    let refused = system.tool(&["events", "import", export]).output().unwrap();
    assert!(!refused.status.success(), "{refused:?}");

    // Somebody who is erased now leaves no trace, since nothing was stored in clear.
    system.run(&["users", "erase", &quagga.email, "--yes"]);
    let words: Vec<&str> = WORDS.into_iter().chain([quagga.email.as_str()]).collect();
    nothing_is_left(&system, Deployment::Embedded, &words).await;
    system.terminate_all();
    system.run(&["events", "export", "--output", export]);
    let sealed = fs::read_to_string(&file).unwrap();
    assert!(words.iter().all(|word| !sealed.contains(word)));

    // The log is the same everywhere, byte for byte and with its positions and its root, also after a store with
    // other positions.
    let keys = system.database_url("subject-keys.db");
    let keys_dir = system.data_dir().join("keys");
    let database = TestDatabase::create().await;
    let settings = vec![("DATABASE_URL", database.url().to_string())];
    let postgres = Place::new(&keys_dir, settings);
    let of_postgres = postgres.take_over(&keys, export, "checkpoints of the former log fit");
    assert!(of_postgres.starts_with(beginning(&sealed)));
    let opened = postgres.run(&["events", "tail", "--from", "1", "--json"]);
    assert!(opened.contains(r#""title":"Stays""#) && !opened.contains("quagga"));

    let server = StandIn::start();
    let url = format!("kurrentdb://{}?tls=false", server.addresses()[0]);
    let kurrentdb = Place::new(&keys_dir, vec![("EVENT_STORE_URL", url)]);
    let of_kurrentdb = kurrentdb.take_over(database.url().as_str(), &postgres.file(), "OTHER POSITIONS");
    assert!(!of_kurrentdb.starts_with(beginning(&sealed)));
    let target = kurrentdb.file() + ".dropped";
    let refused =
        kurrentdb.refused(&["events", "drop", "--ended-before", "2025-01-01T00:00:00Z", "--export", &target]);
    assert!(refused.contains("nothing can be dropped there"), "{refused}");
    assert!(!Path::new(&target).exists());
    let sqlite = Place::new(&keys_dir, Vec::new());
    let kept = kurrentdb.data_dir().join("subject-keys.db");
    let kept = format!("sqlite:{}", kept.display());
    let of_sqlite = sqlite.take_over(&kept, &kurrentdb.file(), "OTHER POSITIONS");
    assert!(of_sqlite.starts_with(beginning(&of_postgres)));

    // The first export is from before the erasure, and cannot restore the person, even where nothing but the
    // destroyed key exists.
    let first = system.directory().join("first");
    fs::write(&first, whole).unwrap();
    let destroyed = Place::without_keys();
    destroyed.run(&["migrate"]);
    let url = Database::file_url(&destroyed.data_dir().join("subject-keys.db"));
    let keys = Database::connect(&url, Schema::SubjectKeys, 1).await.unwrap();
    let sql = "INSERT INTO data_keys (subject, created_at, destroyed_at) VALUES ($1, 1, 1)";
    let id: uuid::Uuid = quagga_id.as_str().unwrap().parse().unwrap();
    keys.execute(sql, &[id.into()]).await.unwrap();
    keys.close().await;
    for place in [&sqlite, &destroyed] {
        for dry_run in [&["--dry-run"][..], &[]] {
            let arguments = [&["events", "import", first.to_str().unwrap()], dry_run].concat();
            let refused = place.refused(&arguments);
            assert!(refused.contains("were erased after the export was made"), "{refused}");
        }
    }
    sqlite.run(&["events", "export", "--output", &sqlite.file()]);
    assert_eq!(fs::read_to_string(sqlite.file()).unwrap(), of_sqlite);
    system.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_works_on_half_of_a_log_in_sqlite_kurrentdb_or_postgres_with_rabbitmq() {
    let mut system = System::launched(Deployment::Embedded, 1).await;
    system.ready().await;
    Person::join(&system.base, "ada").await;
    system.terminate_all();
    let file = system.directory().join("export");
    let export = file.to_str().unwrap();
    system.run(&["events", "export", "--output", export]);
    let (keys, keys_dir) = (system.database_url("subject-keys.db"), system.data_dir().join("keys"));
    let database = TestDatabase::create().await;
    let servers = vec![("DATABASE_URL", database.url().to_string()), ("AMQP_URL", amqp_url())];
    let server = StandIn::start();
    let kurrentdb = format!("kurrentdb://{}?tls=false", server.addresses()[0]);
    let places = [
        (vec![], &["up"][..]),
        (servers, &["up", "auth", "command-api", "query-api", "projector"][..]),
        (vec![("EVENT_STORE_URL", kurrentdb)], &["up"][..]),
    ];
    for (mut settings, roles) in places {
        let listen = |name| (name, format!("127.0.0.1:{}", free_port()));
        settings.extend([listen("TASKLEDGER_LISTEN"), listen("TASKLEDGER_ADMIN_LISTEN")]);
        let place = Place::new(&keys_dir, settings);
        place.run(&["keys", "copy", "--from", &keys]);
        place.run(&["events", "import", export]);
        // A kill before the last event leaves this state.
        let unfinished = UnfinishedImport { events: 1_000, root: "AA==".to_owned() };
        let store = event_store::open(&place.store_url(), 2).await.unwrap();
        store.note_import(Some(&unfinished)).await.unwrap();
        let commands = [
            &["keys", "generate"][..],
            &["events", "export"],
            &["events", "stats"],
            &["users", "erase", "--yes", "ada"],
        ];
        let roles = roles.iter().map(std::slice::from_ref);
        for arguments in roles.chain(commands) {
            let refused = place.refused(arguments);
            assert!(
                refused.contains("an import of 1000 events into it has begun and not ended")
                    && refused.contains("go on with `taskledger events import`"),
                "{arguments:?} {refused}"
            );
        }
        let refused = place.refused(&["events", "import", "--dry-run", export]);
        assert!(refused.contains("this export has fewer than are there"), "{refused}");
        // The schemas can be created and keys be copied before the import continues.
        place.run(&["migrate"]);
        place.run(&["keys", "copy", "--from", &keys]);
        store.note_import(None).await.unwrap();
        place.run(&["events", "stats"]);
    }
    system.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_was_erased_gets_no_key_back_by_a_copy_of_older_keys() {
    let mut system = System::launched(Deployment::Embedded, 1).await;
    system.ready().await;
    let gone = Person::join(&system.base, "gone").await;
    Person::join(&system.base, "stays").await;
    system.terminate_all();
    let former = system.directory().join("former");
    fs::create_dir(&former).unwrap();
    let data = system.data_dir();
    fs::copy(data.join("subject-keys.db"), former.join("subject-keys.db")).unwrap();
    let from = Database::file_url(&former.join("subject-keys.db"));
    let copy = ["keys", "copy", "--from", &from];
    system.launch(Role::Up);
    system.ready().await;
    system.run(&["users", "erase", &gone.email, "--yes"]);
    system.terminate_all();

    // The log here records the erasure and who copied the keys.
    fs::remove_file(data.join("subject-keys.db")).unwrap();
    let copied = system.run(&[&copy[..], &["--by", "grace"]].concat());
    assert!(copied.contains("1 key copied, 1 key destroyed"), "{copied}");
    assert_eq!(kept_and_destroyed(&system.database_url("subject-keys.db")).await, (1, 1));
    let recorded = system.run(&["events", "tail", "-n", "2", "--json"]);
    assert!(
        recorded.contains(r#""by":"grace","command":"keys copy""#) && recorded.contains("1 key copied"),
        "{recorded}"
    );

    // The other log can be beside the keys or anywhere else.
    let keys = |place: &Place| Database::file_url(&place.data_dir().join("subject-keys.db"));
    let elsewhere = Place::new(&data.join("keys"), Vec::new());
    let said = elsewhere.tool(&copy);
    assert!(String::from_utf8_lossy(&said.stderr).contains("say with --from-log where it is"));
    assert_eq!(kept_and_destroyed(&keys(&elsewhere)).await, (2, 0));
    let elsewhere = Place::new(&data.join("keys"), Vec::new());
    let log = Database::file_url(&data.join("events.db"));
    elsewhere.run(&[&copy[..], &["--from-log", &log]].concat());
    assert_eq!(kept_and_destroyed(&keys(&elsewhere)).await, (1, 1));
    fs::copy(data.join("events.db"), former.join("events.db")).unwrap();
    let elsewhere = Place::new(&data.join("keys"), Vec::new());
    elsewhere.run(&copy);
    assert_eq!(kept_and_destroyed(&keys(&elsewhere)).await, (1, 1));
    system.clean().await;
}

async fn kept_and_destroyed(url: &str) -> (u64, u64) {
    let database = Database::connect(url, Schema::SubjectKeys, 1).await.unwrap();
    let sql = "SELECT COUNT(wrapped) AS kept, COUNT(destroyed_at) AS destroyed FROM data_keys";
    let row = database.fetch_optional(sql, &[]).await.unwrap().unwrap();
    let counts = (row.unsigned("kept").unwrap(), row.unsigned("destroyed").unwrap());
    database.close().await;
    counts
}

#[test]
fn a_file_of_somebody_else_keeps_its_rights() {
    let place = Place::without_keys();
    place.run(&["migrate"]);
    let file = place.file();
    fs::write(&file, "").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let refused = place.refused(&["events", "export", "--output", &file]);
    assert!(refused.contains("run `chmod 600"), "{refused}");
    let mode = || fs::metadata(&file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o644);
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    place.run(&["events", "export", "--output", &file]);
    assert_eq!(mode(), 0o600);
}

#[tokio::test]
async fn embedded_export_of_a_log_that_lacks_an_event_does_not_succeed() {
    let mut system = System::start(Deployment::Embedded).await;
    Person::join(&system.base, "ada").await;
    system.terminate_all();
    let log = Database::connect(&system.database_url("events.db"), Schema::EventStore, 1).await.unwrap();
    let remove = "DELETE FROM events WHERE position = 2";
    assert_eq!(log.execute(remove, &[]).await.unwrap(), 1);
    log.close().await;
    let file = system.directory().join("log.ndjson");
    // The second time it goes on with the file.
    for _ in 0..2 {
        let mut export = system.tool(&["events", "export", "--output", file.to_str().unwrap()]);
        let output = export.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("no event at position 2"), "{said}");
    }
    system.stop().await;
}
