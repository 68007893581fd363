//! Everything that an operator does on the command line is in the audit trail, with who did it and why.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{Deployment, Person, Role, System, binary, park_a_later_event, until};

/// Commands that change nothing in the system: they show something, run the system or migrate it.
const LOOK: [&str; 14] = [
    "audit check-proof",
    "audit key",
    "audit log",
    "audit prove",
    "audit verify",
    "config",
    "events show",
    "events stats",
    "events tail",
    "keys list",
    "keys master list",
    "parked list",
    "parked show",
    "projection list",
];
const LOOK_MORE: [&str; 3] = ["events export", "projection status", "projection verify"];
/// Commands that send requests to the API with a person's token, and are recorded as such.
const BY_A_PERSON: [&str; 2] = ["tasks export", "tasks import"];
/// The command that is recorded at the end of the log that it creates, which `moving.rs` tests.
const MAKE_THE_LOG: &str = "events import";
/// Commands that run the system or a witness. What these processes do by themselves is not an operator's act.
const RUN: [&str; 7] = ["audit witness", "auth", "command-api", "gateway", "projector", "query-api", "up"];

const TIMEOUT: Duration = Duration::from_secs(30);

/// The commands below `path` without subcommands, and whether they ask who gives them and why.
fn commands(path: &[String]) -> BTreeMap<String, bool> {
    let help = binary().args(path).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let Some((_, list)) = help.split_once("\nCommands:\n") else {
        let asks = help.contains("--by <NAME>") && help.contains("--reason <TEXT>");
        return BTreeMap::from([(path.join(" "), asks)]);
    };
    let entries = list.lines().take_while(|line| !line.is_empty());
    let names = entries.filter_map(|line| {
        let name = line.strip_prefix("  ")?.split(' ').next()?;
        (!name.is_empty() && name != "help").then(|| name.to_owned())
    });
    names.flat_map(|name| commands(&[path, &[name]].concat())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_operators_acts_are_in_the_audit_trail() {
    let mut system = System::start(Deployment::Embedded).await;
    let mut ada = Person::join(&system.base, "ada").await;
    let bob = Person::join(&system.base, "bob").await;
    let task = ada.post("/tasks", json!({"title": "One"})).await.expect(201).body;
    let stream = format!("task-{}", task["id"].as_str().unwrap());
    let mut acts = Acts::default();

    acts.run(&system, 0, &["users", "grant", &ada.email, "auditor"]);
    acts.run(&system, 0, &["users", "reset", &bob.email, "--yes"]);
    acts.run(&system, 0, &["users", "revoke-tokens", &bob.email, "--yes"]);
    let people = system.data_dir().join("people.csv");
    std::fs::write(&people, "email,password_hash\nnobody,none\n").unwrap();
    let people = people.to_str().unwrap();
    acts.run(&system, 1, &["users", "import", people]);
    until("bob sees what is about him", TIMEOUT, async || {
        let seen = operations(&bob, "operation.started").await;
        let seen: Vec<_> = seen.iter().map(|it| it["operation"]["command"].clone()).collect();
        seen == ["users revoke-tokens", "users reset"]
    })
    .await;
    acts.run(&system, 0, &["users", "erase", &bob.email, "--yes"]);

    let export = system.data_dir().join("dropped.ndjson");
    let drop = ["events", "drop", "--ended-before", "2025-01-01T00:00:00Z", "--export"];
    acts.run(&system, 0, &[&drop[..], &[export.to_str().unwrap()]].concat());
    acts.run(&system, 0, &["keys", "generate"]);
    acts.run(&system, 0, &["keys", "rotate"]);
    acts.run(&system, 1, &["keys", "retire", "unknown@example.com"]);
    let list = system.tool(&["keys", "list"]).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    let kid = list.split_whitespace().next().unwrap();
    // Tokens of this key are still valid.
    acts.run(&system, 1, &["keys", "retire", kid]);
    acts.run(&system, 0, &["keys", "master", "rotate"]);
    // It is too early: every process has to load the new key first.
    acts.run(&system, 1, &["keys", "master", "retire"]);
    acts.run(&system, 0, &["audit", "rotate-key"]);

    let parked = park_a_later_event(&system, &stream).await;
    acts.run(&system, 1, &["parked", "retry", "--all"]);
    acts.run(&system, 0, &["parked", "discard", &parked.to_string(), "--yes"]);
    acts.run(&system, 0, &["projection", "rebuild", "--yes"]);
    acts.run(&system, 0, &["projection", "rollback", "--yes"]);
    let foreign = "INSERT INTO discarded_events (position, stream, version, type, subject, reason) \
        SELECT 999999, stream, 99, type, subject, reason FROM discarded_events LIMIT 1";
    system.read_models().await.execute(foreign, &[]).await.unwrap();
    acts.run(&system, 0, &["restore", "check", "--repair"]);

    system.terminate(Role::Up);
    std::fs::remove_file(system.data_dir().join("operations.db")).unwrap();
    acts.run(&system, 0, &["migrate"]);
    let keys = system.database_url("subject-keys.db");
    acts.run(&system, 0, &["keys", "copy", "--from", &keys]);
    // A command that finds nothing to do changes nothing.
    system.tool(&["migrate"]).output().unwrap();
    system.launch(Role::Up);
    system.ready().await;

    system.read_models_equal_the_log().await;
    ada.log_in().await;
    let started = operations(&ada, "operation.started").await;
    let finished = operations(&ada, "operation.finished").await;
    assert_eq!(started.len(), acts.0.len(), "{started:?}");
    for (number, (done, code)) in acts.0.iter().enumerate() {
        let started = &started[acts.0.len() - 1 - number];
        let command = started["operation"]["command"].as_str().unwrap();
        assert!(command.starts_with(done), "{done}: {started}");
        assert_eq!(started["actor"], "operator");
        assert_eq!(started["operation"]["by"], "grace", "{done}");
        assert_eq!(started["operation"]["reason"], format!("Ticket {number}"), "{done}");
        // Events about somebody who was erased have no request id.
        let of_bob = ["users reset", "users revoke-tokens", "users erase"].contains(&done.as_str());
        let ended = finished.iter().find(|end| end["stream"] == started["stream"]).unwrap();
        assert_eq!(ended["correlation_id"] == "erased", of_bob, "{done}");
        let outcome = if *code == 0 { "succeeded" } else { "failed" };
        assert_eq!(ended["operation"]["outcome"], outcome, "{done}");
    }
    let what = |command: &str| {
        let started = started.iter().find(|it| it["operation"]["command"] == command);
        let stream = &started.unwrap_or_else(|| panic!("{command}"))["stream"];
        let ended = finished.iter().find(|end| end["stream"] == *stream).unwrap();
        ended["operation"]["result"].clone()
    };
    assert_eq!(what(&format!("keys retire {kid}")), Value::Null);
    assert_eq!(what("keys retire"), Value::Null);
    assert_eq!(what("migrate"), "operations");
    assert_eq!(what("users revoke-tokens"), "0 tokens taken back");
    assert!(what("keys copy").as_str().unwrap().starts_with("0 keys copied"));
    let grant = &started.last().unwrap()["correlation_id"];
    let caused = format!("/audit/events?correlation_id={}", grant.as_str().unwrap());
    let caused = ada.get(&caused).await.expect(200).body;
    let kinds: Vec<_> = caused["items"].as_array().unwrap().iter().map(|it| it["type"].clone()).collect();
    assert_eq!(kinds, ["operation.finished", "account.roles_changed", "operation.started"]);
    let log = system.tool(&["audit", "log", "--actor", "operator"]).output().unwrap();
    let log = String::from_utf8(log.stdout).unwrap();
    assert!(log.contains("restore check --repair") && log.contains("Ticket 3"), "{log}");

    // A command in neither list is new, and has to be added to one of them.
    let every = commands(&[]);
    let asks = |wanted: bool| {
        let those = every.iter().filter(|(_, asks)| **asks == wanted);
        those.map(|(command, _)| command.clone()).collect::<BTreeSet<_>>()
    };
    let done = acts.0.iter().map(|(command, _)| command.clone());
    let done: BTreeSet<String> = done.chain([MAKE_THE_LOG.to_owned()]).collect();
    assert_eq!(asks(true), done, "every command that asks who gives it is recorded");
    let known = LOOK.iter().chain(&LOOK_MORE).chain(&RUN).chain(&BY_A_PERSON);
    assert_eq!(asks(false), known.map(ToString::to_string).collect(), "no other changes anything");

    system.terminate(Role::Up);
    let before = contents(&system.data_dir());
    for command in LOOK.iter().chain(&LOOK_MORE).chain(&["restore check"]) {
        let mut arguments: Vec<_> = command.split(' ').collect();
        match *command {
            "audit check-proof" | "events export" => continue,
            "audit prove" | "events show" | "parked show" => arguments.push("1"),
            _ => {}
        }
        system.tool(&arguments).output().unwrap();
        assert!(contents(&system.data_dir()) == before, "{command} changes something");
    }
    system.clean().await;
}

/// Each command in order, and its exit code.
#[derive(Default)]
struct Acts(Vec<(String, i32)>);

impl Acts {
    /// Gives a command with a reason of its own.
    #[track_caller]
    fn run(&mut self, system: &System, code: i32, arguments: &[&str]) {
        let reason = format!("Ticket {}", self.0.len());
        let mut command = system.tool(arguments);
        let output = command.args(["--by", "grace", "--reason", &reason]).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
        let words = match arguments {
            [_, "master", ..] => 3,
            ["migrate"] => 1,
            _ => 2,
        };
        self.0.push((arguments[..words].join(" "), code));
    }
}

async fn operations(person: &Person, kind: &str) -> Vec<Value> {
    let page = person.get(&format!("/audit/events?type={kind}&limit=100")).await.expect(200);
    page.body["items"].as_array().unwrap().clone()
}

/// The contents of every file, without those that SQLite keeps beside an open database.
fn contents(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.to_string_lossy().into_owned();
        if path.is_dir() {
            found.append(&mut contents(&path));
        } else if !name.ends_with("-wal") && !name.ends_with("-shm") {
            found.insert(name, std::fs::read(&path).unwrap());
        }
    }
    found
}
