//! The log moves from store to store, and stays the same log; what earlier builds wrote in clear is sealed on the way.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use kurrentdb_stand_in::{Behaviour, StandIn};
use serde_json::json;
use tempfile::TempDir;
use test_support::TestDatabase;

use crate::{
    erasure::{WORDS, leave_traces, nothing_is_left, run},
    support::{Footing, Person, Role, System, binary},
};

/// A place that a log can move to: its own data directory, with the keys directory of the system that it came from.
struct Place {
    directory: TempDir,
    settings: Vec<(&'static str, String)>,
}

impl Place {
    fn new(keys: &Path, settings: Vec<(&'static str, String)>) -> Self {
        let directory = TempDir::new().unwrap();
        let place = Self { directory, settings };
        fs::create_dir_all(place.data_dir().join("keys")).unwrap();
        for entry in fs::read_dir(keys).unwrap().map(Result::unwrap) {
            if entry.path().is_file() {
                fs::copy(
                    entry.path(),
                    place.data_dir().join("keys").join(entry.file_name()),
                )
                .unwrap();
            }
        }
        place
    }

    fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn file(&self) -> String {
        self.directory.path().join("export").display().to_string()
    }

    fn tool(&self, arguments: &[&str]) -> Output {
        let mut command = binary();
        command
            .args(arguments)
            .env("TASKLEDGER_DATA_DIR", self.data_dir());
        command.envs(self.settings.iter().cloned()).output().unwrap()
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        let output = self.tool(arguments);
        assert!(output.status.success(), "{arguments:?} {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What the command says when it must not succeed.
    #[track_caller]
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.tool(arguments);
        assert!(!output.status.success(), "{arguments:?} {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Copies the keys and imports, and returns what the log here is as a file.
    fn take_over(&self, keys: &str, export: &str, says: &str) -> String {
        let refused = self.refused(&["events", "import", export]);
        assert!(refused.contains("whose keys are not here"), "{refused}");
        self.run(&["keys", "copy", "--from", keys]);
        let said = self.run(&["events", "import", export]);
        assert!(said.contains(says), "{said}");
        let again = self.run(&["events", "import", export]);
        assert!(again.contains("imported 0 events"), "{again}");
        self.run(&["events", "export", "--output", &self.file()]);
        fs::read_to_string(self.file()).unwrap()
    }
}

// More than one thread, since waiting for a tool holds up the one that it is called on, and the stand-in must not be.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_in_clear_is_sealed_on_its_way_and_then_moves_between_postgres_and_all_other_stores() {
    let mut system = System::launched(Footing::Embedded, 1).await;
    system.kill(Role::Up);
    system.set("TASKLEDGER_SEAL_EVENTS", "false");
    system.launch(Role::Up);
    system.ready().await;
    let quagga = leave_traces(&system).await;
    let mut stays = Person::join(&system.base, "stays").await;
    let task = stays
        .post("/tasks", json!({"title": "Stays"}))
        .await
        .expect(201)
        .body;

    // Beside the system at work, broken off, and gone on with when the system has stopped.
    let file = system.directory().join("export");
    let export = file.to_str().unwrap();
    run(&system, &["events", "export", "--output", export]);
    let whole = fs::read_to_string(&file).unwrap();
    assert!(whole.contains("quagga-title") && whole.contains("argon2id"));
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let done = format!("/tasks/{}/complete", task["id"].as_str().unwrap());
    stays.post(&done, json!({})).await.expect(200);
    system.terminate_all();
    run(&system, &["events", "export", "--output", export]);
    assert_eq!(
        fs::read_to_string(&file).unwrap().lines().count(),
        whole.lines().count() + 1
    );

    // Into an empty directory, which keeps only the keys of the system.
    let former = system.directory().join("former");
    fs::rename(system.data_dir(), &former).unwrap();
    fs::create_dir(system.data_dir()).unwrap();
    fs::rename(former.join("keys"), system.data_dir().join("keys")).unwrap();
    fs::remove_dir_all(former).unwrap();
    system.set("TASKLEDGER_SEAL_EVENTS", "true");
    let said = run(&system, &["events", "import", "--dry-run", export]);
    assert!(
        said.contains("SEALED on the way") && said.contains("nothing was written"),
        "{said}"
    );
    assert!(!system.data_dir().join("events.db").exists());
    let said = run(&system, &["events", "import", export]);
    assert!(said.contains("SEALED on the way"), "{said}");
    fs::remove_file(&file).unwrap();
    system.launch(Role::Up);
    system.ready().await;
    system.read_models_equal_the_log().await;
    run(&system, &["audit", "verify"]);
    stays.log_in().await;
    let tasks = stays.get("/tasks").await.expect(200).body;
    assert_eq!(
        (&tasks["items"][0]["title"], &tasks["items"][0]["status"]),
        (&json!("Stays"), &json!("done"))
    );
    let refused = system.tool(&["events", "import", export]).output().unwrap();
    assert!(!refused.status.success(), "{refused:?}");

    // Whoever is erased now is nowhere any more, since nothing of them was left in clear.
    run(&system, &["users", "erase", &quagga.email, "--yes"]);
    let words: Vec<&str> = WORDS.into_iter().chain([quagga.email.as_str()]).collect();
    nothing_is_left(&system, Footing::Embedded, &words).await;
    system.terminate_all();
    run(&system, &["events", "export", "--output", export]);
    let sealed = fs::read_to_string(&file).unwrap();
    assert!(words.iter().all(|word| !sealed.contains(word)));

    // The same log everywhere: byte for byte, with its positions and its root, also by way of a store with others.
    let keys = system.database_url("subject-keys.db");
    let keys_dir = system.data_dir().join("keys");
    let database = TestDatabase::create().await;
    let settings = vec![("DATABASE_URL", database.url().to_string())];
    let postgres = Place::new(&keys_dir, settings);
    assert_eq!(
        postgres.take_over(&keys, export, "checkpoints of the former log fit"),
        sealed
    );
    let opened = postgres.run(&["events", "tail", "--from", "1", "--json"]);
    assert!(opened.contains(r#""title":"Stays""#) && !opened.contains("quagga"));

    let server = StandIn::with(Behaviour::default(), 1);
    let url = format!("kurrentdb://{}?tls=false", server.addresses()[0]);
    let kurrentdb = Place::new(&keys_dir, vec![("EVENT_STORE_URL", url)]);
    let of_kurrentdb = kurrentdb.take_over(database.url().as_str(), &postgres.file(), "OTHER POSITIONS");
    assert_ne!(of_kurrentdb, sealed);
    let target = kurrentdb.file() + ".dropped";
    let refused = kurrentdb.refused(&[
        "events",
        "drop",
        "--ended-before",
        "2025-01-01T00:00:00Z",
        "--export",
        &target,
    ]);
    assert!(refused.contains("nothing can be dropped there"), "{refused}");
    assert!(!Path::new(&target).exists());
    let sqlite = Place::new(&keys_dir, Vec::new());
    let kept = kurrentdb.data_dir().join("subject-keys.db");
    let kept = format!("sqlite:{}", kept.display());
    assert_eq!(
        sqlite.take_over(&kept, &kurrentdb.file(), "OTHER POSITIONS"),
        sealed
    );

    // The first export knows nothing of the erasure, and brings nobody back.
    let first = system.directory().join("first");
    fs::write(&first, whole).unwrap();
    let refused = sqlite.refused(&["events", "import", first.to_str().unwrap()]);
    assert!(
        refused.contains("were erased after the export was made"),
        "{refused}"
    );
    sqlite.run(&["events", "export", "--output", &sqlite.file()]);
    assert_eq!(fs::read_to_string(sqlite.file()).unwrap(), sealed);
    system.clean().await;
}
