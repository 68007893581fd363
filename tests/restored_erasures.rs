//! Somebody who was erased stays erased whatever is restored from a backup: the keys alone, or everything but the
//! keys.

use std::fs;

use database::{Database, Schema, Value};
use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::{
    erasure::{WORDS, leave_traces, nothing_is_left},
    support::{Deployment, PASSWORD, Person, Role, System},
};

const ALL_BUT_THE_KEYS: [&str; 4] = ["events.db", "operations.db", "audit-tree.db", "read-models.db"];

#[tokio::test]
async fn embedded_keys_that_are_put_back_open_nothing() {
    keys_that_are_put_back_open_nothing(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_put_back_open_nothing_on_postgres_and_rabbitmq() {
    keys_that_are_put_back_open_nothing(Deployment::Servers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_put_back_open_nothing_on_kurrentdb() {
    keys_that_are_put_back_open_nothing(Deployment::KurrentDb).await;
}

#[tokio::test]
async fn embedded_log_that_is_put_back_revives_nobody_who_checks_it() {
    log_that_is_put_back_revives_nobody(true).await;
}

#[tokio::test]
async fn embedded_log_that_is_put_back_revives_nobody_who_only_starts() {
    log_that_is_put_back_revives_nobody(false).await;
}

async fn keys_that_are_put_back_open_nothing(deployment: Deployment) {
    let mut system = System::start(deployment).await;
    let ada = leave_traces(&system).await;
    let id = id_of(&ada).await;
    let key = key_of(&system, &id).await;

    erase(&ada).await;
    system.terminate_all();
    put_key_back(&system, &id, key).await;
    let operations =
        Database::connect(&system.database_url("operations.db"), Schema::Operations, 1).await.unwrap();
    operations.execute("DELETE FROM pending_erasures", &[]).await.unwrap();
    operations.close().await;
    let log = ["events", "tail", "--from", "0", "--json"];
    assert!(system.run(&log).contains("quagga-title"), "the key is there again");

    launch(&mut system).await;
    let said = system.run(&log);
    for word in WORDS {
        assert!(!said.contains(word), "{word} can be read in the log");
    }
    assert_eq!(check(&system, &[]), (Some(0), json!([])));
    system.stop().await;
}

async fn log_that_is_put_back_revives_nobody(checks: bool) {
    let mut system = System::start(Deployment::Embedded).await;
    let ada = leave_traces(&system).await;
    let id = id_of(&ada).await;
    system.read_models_equal_the_log().await;
    back_up(&mut system).await;
    erase(&ada).await;
    put_back(&mut system);

    if checks {
        assert_eq!(check(&system, &[]), (Some(1), json!([id])));
        assert_eq!(check(&system, &["--repair"]), (Some(0), json!([id])));
        assert_eq!(check(&system, &[]), (Some(0), json!([])));
    }
    launch(&mut system).await;
    ada.get("/auth/me").await.expect(401);
    let refresh = json!({"refresh_token": ada.refresh_token});
    ada.post("/auth/refresh", refresh).await.expect(401);
    let login = json!({"email": ada.email, "password": PASSWORD});
    ada.post("/auth/login", login.clone()).await.expect(401);
    assert_eq!(check(&system, &[]).1, json!([]));
    let words: Vec<&str> = WORDS.into_iter().chain([ada.email.as_str()]).collect();
    nothing_is_left(&system, Deployment::Embedded, &words).await;
    // Nobody owns the address.
    let mut again = ada.clone();
    again.token.clear();
    again.post("/auth/register", login).await.expect(201);
    system.read_models_equal_the_log().await;
    system.stop().await;
}

#[tokio::test]
async fn embedded_last_admin_of_a_log_that_is_put_back_stays_erased_by_whoever_checks_it() {
    last_admin_of_a_log_that_is_put_back_stays_erased(true).await;
}

#[tokio::test]
async fn embedded_last_admin_of_a_log_that_is_put_back_stays_erased_by_whoever_only_starts() {
    last_admin_of_a_log_that_is_put_back_stays_erased(false).await;
}

/// The log is from a time when the person who has been erased since was the only admin.
async fn last_admin_of_a_log_that_is_put_back_stays_erased(checks: bool) {
    let mut system = System::start(Deployment::Embedded).await;
    let mut ada = leave_traces(&system).await;
    let mut carol = Person::join(&system.base, "carol").await;
    system.run(&["users", "grant", &ada.email, "admin", "--yes"]);
    ada.log_in().await;
    let id = id_of(&ada).await;
    system.read_models_equal_the_log().await;
    back_up(&mut system).await;
    let bob = Person::join(&system.base, "bob").await;
    system.run(&["users", "grant", &bob.email, "admin", "--yes"]);
    erase(&ada).await;
    put_back(&mut system);

    if checks {
        assert_eq!(check(&system, &["--repair"]), (Some(0), json!([id])));
    }
    launch(&mut system).await;
    ada.get("/auth/users").await.expect(401);
    let login = json!({"email": ada.email, "password": PASSWORD});
    ada.post("/auth/login", login).await.expect(401);
    assert_eq!(check(&system, &[]).1, json!([]));
    let words: Vec<&str> = WORDS.into_iter().chain([ada.email.as_str()]).collect();
    nothing_is_left(&system, Deployment::Embedded, &words).await;
    if !checks {
        let said = system.log_text(Role::Up.into());
        assert!(said.contains("nobody is an admin any more"), "{said}");
    }
    // There is no admin until an operator grants the role.
    carol.get("/auth/users").await.expect(403);
    system.run(&["users", "grant", &carol.email, "admin", "--yes"]);
    carol.log_in().await;
    carol.get("/auth/users").await.expect(200);
    system.read_models_equal_the_log().await;
    system.stop().await;
}

/// Nothing in a directory to which everything was restored knows who was erased since the backup.
#[tokio::test]
async fn embedded_restore_into_an_empty_directory_reminds_of_erasures() {
    let mut system = System::start(Deployment::Embedded).await;
    Person::join(&system.base, "ada").await;
    system.read_models_equal_the_log().await;
    system.terminate_all();
    let (data, lost) = (system.data_dir(), system.directory().join("lost"));
    fs::rename(&data, &lost).unwrap();
    fs::create_dir(&data).unwrap();
    // What a backup has.
    for name in ["events.db", "operations.db", "audit-tree.db", "subject-keys.db", "keys"] {
        fs::rename(lost.join(name), data.join(name)).unwrap();
    }
    let check = ["restore", "check"];
    assert!(reminds_of_erasures(&system, &check));
    // Where there are roles with fewer rights, the read models are made before the first start.
    system.run(&["migrate"]);
    assert!(reminds_of_erasures(&system, &check));
    assert!(reminds_of_erasures(&system, &["restore", "check", "--repair"]));
    launch(&mut system).await;
    system.read_models_equal_the_log().await;
    assert!(!reminds_of_erasures(&system, &check));
    system.stop().await;
}

/// Whether a check that finds nothing reminds of erasures that are forgotten.
#[track_caller]
fn reminds_of_erasures(system: &System, arguments: &[&str]) -> bool {
    let (code, said) = system.outcome(arguments);
    assert_eq!(code, 0, "{arguments:?}: {said}");
    said.contains("taskledger users erase")
}

/// Each thing that disagrees is repaired by itself.
#[tokio::test]
async fn embedded_keys_are_destroyed_again_where_the_read_models_cannot_be_emptied() {
    let mut system = System::start(Deployment::Embedded).await;
    let ada = Person::join(&system.base, "ada").await;
    let id = id_of(&ada).await;
    let key = key_of(&system, &id).await;
    erase(&ada).await;
    system.read_models_equal_the_log().await;
    system.terminate_all();
    put_key_back(&system, &id, key).await;
    let read_models = system.read_models().await;
    for sql in [
        "UPDATE checkpoints SET event_id = '00000000-0000-4000-8000-000000000000'",
        "CREATE TRIGGER refuse BEFORE DELETE ON audit_log BEGIN SELECT RAISE(ABORT, 'not now'); END",
    ] {
        read_models.execute(sql, &[]).await.unwrap();
    }
    let repair = ["restore", "check", "--repair", "--json"];
    let output = system.tool(&repair).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["revived_keys"], json!([id]), "{said}");
    let failed = said["not_repaired"].as_array().unwrap();
    assert!(failed.len() == 1 && failed[0]["what"] == "read_models", "{said}");
    assert_eq!(key_of(&system, &id).await, [Value::from(None::<String>), Value::from(None::<Vec<u8>>)]);

    read_models.execute("DROP TRIGGER refuse", &[]).await.unwrap();
    read_models.close().await;
    assert_eq!(check(&system, &["--repair"]), (Some(0), json!([])));
    launch(&mut system).await;
    system.read_models_equal_the_log().await;
    system.stop().await;
}

pub(crate) async fn keys(system: &System) -> Database {
    Database::connect(&system.database_url("subject-keys.db"), Schema::SubjectKeys, 1).await.unwrap()
}

pub(crate) fn subject(id: &str) -> Value {
    id.parse::<uuid::Uuid>().unwrap().into()
}

/// The wrapped key of a person, after the id of its master key.
pub(crate) async fn key_of(system: &System, id: &str) -> [Value; 2] {
    let keys = keys(system).await;
    let sql = "SELECT master_key, wrapped FROM data_keys WHERE subject = $1";
    let row = keys.fetch_optional(sql, &[subject(id)]).await.unwrap().unwrap();
    keys.close().await;
    [row.optional_text(0).unwrap().into(), row.optional_bytes(1).unwrap().into()]
}

async fn put_key_back(system: &System, id: &str, [master_key, wrapped]: [Value; 2]) {
    let keys = keys(system).await;
    let sql = "UPDATE data_keys SET master_key = $2, wrapped = $3, destroyed_at = NULL WHERE subject = $1";
    let values = [subject(id), master_key, wrapped];
    assert_eq!(keys.execute(sql, &values).await.unwrap(), 1);
    keys.close().await;
}

/// Copies everything but the keys, while nothing runs.
async fn back_up(system: &mut System) {
    system.terminate_all();
    for name in ALL_BUT_THE_KEYS {
        let file = system.data_dir().join(name);
        fs::copy(&file, file.with_extension("before")).unwrap();
    }
    launch(system).await;
}

/// Stops the system and restores the copy.
fn put_back(system: &mut System) {
    system.terminate_all();
    for name in ALL_BUT_THE_KEYS {
        let file = system.data_dir().join(name);
        fs::rename(file.with_extension("before"), file).unwrap();
    }
}

pub(crate) async fn id_of(person: &Person) -> String {
    let me = person.get("/auth/me").await.expect(200).body;
    me["user"]["id"].as_str().unwrap().to_owned()
}

pub(crate) async fn erase(person: &Person) {
    let password = Some(json!({ "password": PASSWORD }));
    person.send(Method::DELETE, "/auth/me", password).await.expect(204);
}

pub(crate) async fn launch(system: &mut System) {
    system.launch_all();
    system.ready().await;
}

/// Runs `restore check`. Returns the exit code and the people whose keys are destroyed although the log has not
/// erased them.
pub(crate) fn check(system: &System, arguments: &[&str]) -> (Option<i32>, Json) {
    let arguments = [&["restore", "check", "--json"], arguments].concat();
    let output = system.tool(&arguments).output().unwrap();
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    let mut said: Json = serde_json::from_slice(&output.stdout).unwrap();
    (output.status.code(), said["unerased_people"].take())
}
