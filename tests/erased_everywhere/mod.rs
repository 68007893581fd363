//! After an erasure nothing of the person is left in any place, and nothing brings it back: neither databases and
//! their files, nor messages of the broker, nor logs of processes at the finest level, nor a backup or an export from
//! before.

mod backup;
mod spellings;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    path::Path,
    time::Duration,
};

use reqwest::{Client, Method};
use serde_json::json;
use test_support::TestDatabase;

use self::{
    backup::{Backup, dump},
    spellings::{found_in, spellings},
};
use crate::{
    moving::Place,
    restored_erasures::{check, erase, id_of, launch},
    support::{Deployment, PASSWORD, Person, System, until},
};

const NAME: &str = "Quagga-Nickname Ångström";
const TITLE: &str = "quagga-title: Ärztin, 7 Uhr";
const DESCRIPTION: &str = "quagga-description für Zoë";
const TAG: &str = "quagga-tag grün";
const PROGRAM: &str = "quagga-program größer";
const BROWSER: &str = "quagga-browser/7";
const KEY: &str = "quagga-key-1";
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 9, 8, 7));
/// The logs that are meant to contain client addresses and user agents.
const LOGS_OF_CLIENTS: [&str; 2] = ["access.log", "security.log"];

#[tokio::test(flavor = "multi_thread")]
async fn embedded_nothing_is_left_of_who_was_erased_nor_in_a_backup_of_before() {
    nothing_is_left_anywhere(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_who_was_erased_nor_in_a_dump_of_before_on_postgres_and_rabbitmq() {
    nothing_is_left_anywhere(Deployment::Servers).await;
}

/// A system whose processes log at the finest level, with files for the access log and the security log, and whose
/// broker keeps copies of messages.
async fn talkative(deployment: Deployment) -> System {
    let mut system = System::prepared(deployment).await;
    system.set("TASKLEDGER_LOG", "trace,lapin=trace");
    for (setting, file) in
        [("TASKLEDGER_ACCESS_LOG", LOGS_OF_CLIENTS[0]), ("TASKLEDGER_SECURITY_LOG", LOGS_OF_CLIENTS[1])]
    {
        system.set(setting, system.directory().join(file).display().to_string());
    }
    launch(&mut system).await;
    // The exchanges are there once the system has started.
    if let Some(broker) = &system.broker {
        broker.keep_copies().await.unwrap();
    }
    system
}

/// Registers a person who leaves personal data wherever that is possible.
async fn leave_traces(system: &System) -> Person {
    let mut person = Person {
        base: system.base.clone(),
        http: Client::builder().local_address(ADDRESS).user_agent(BROWSER).build().unwrap(),
        email: format!("Quagga.{}@Zebrahäuser.example", uuid::Uuid::new_v4().simple()),
        token: String::new(),
        refresh_token: String::new(),
    };
    let account = json!({"email": person.email, "password": PASSWORD, "display_name": NAME});
    person.post("/auth/register", account).await.expect(201);
    let wrong = json!({"email": person.email.to_uppercase(), "password": "this passphrase is wrong"});
    person.post("/auth/login", wrong).await.expect(401);
    person.log_in().await;
    let program = json!({"name": PROGRAM, "scopes": ["tasks:read"]});
    person.post("/auth/tokens", program).await.expect(201);
    let task = json!({"title": TITLE, "description": DESCRIPTION, "tags": [TAG]});
    let created = person.try_send(Method::POST, "/tasks", Some(task), &[("Idempotency-Key", KEY)]);
    let created = created.await.unwrap().expect(201).body;
    let path = format!("/tasks/{}", created["id"].as_str().unwrap());
    let renamed = json!({"title": format!("{TITLE}!")});
    person.patch(&path, renamed).await.expect(200);
    until("the search answers", Duration::from_secs(30), async || {
        // The query string contains words with percent-encoding.
        let found = person.get("/tasks?q=quagga%2Dtitle:%20%C3%84rztin").await;
        assert!(found.status == 200 || found.status == 503, "{found:?}");
        found.status == 200
    })
    .await;
    person
}

/// Searches the databases: their files, or a dump of everything in PostgreSQL.
fn in_databases(
    system: &System,
    deployment: Deployment,
    texts: &BTreeSet<String>,
) -> BTreeMap<String, BTreeSet<String>> {
    if deployment == Deployment::Embedded {
        return found_in(texts, &[&system.data_dir()]);
    }
    let file = system.directory().join("everything.sql");
    dump(&system.database_url(""), &[], &file);
    let found = found_in(texts, &[&file]);
    std::fs::remove_file(file).unwrap();
    found
}

async fn nothing_is_left_in_databases(system: &System, deployment: Deployment, texts: &BTreeSet<String>) {
    let mut last = BTreeMap::new();
    until("nothing is left in the databases", Duration::from_secs(60), async || {
        let found = in_databases(system, deployment, texts);
        if found != last {
            eprintln!("still there: {found:?}");
        }
        last = found;
        last.is_empty()
    })
    .await;
}

fn logs(system: &System) -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(system.directory()).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|it| it == "log")).collect()
}

async fn nothing_is_left_anywhere(deployment: Deployment) {
    let mut system = talkative(deployment).await;
    let person = leave_traces(&system).await;
    let id = id_of(&person).await;
    let address = ADDRESS.to_string();
    let words = [NAME, TITLE, DESCRIPTION, TAG, PROGRAM, BROWSER, KEY, &address, &person.email];
    let texts: BTreeSet<String> = words.iter().flat_map(|word| spellings(word)).collect();
    system.read_models_equal_the_log().await;
    let before = in_databases(&system, deployment, &texts);
    let log = system.run(&["events", "tail", "--from", "0", "--json"]).to_ascii_lowercase();
    for word in words {
        let word = word.to_ascii_lowercase();
        let stands = log.contains(&word) || before.values().flatten().any(|text| text.contains(&word));
        assert!(stands, "{word} stands nowhere: {before:?}");
    }

    let export = system.directory().join("export.ndjson").display().to_string();
    system.run(&["events", "export", "--output", &export]);
    let backup = Backup::make(&mut system, deployment).await;
    assert_eq!(found_in(&texts, &[Path::new(&export), &backup.of_log()]), BTreeMap::new());
    // The roles' records contain nothing but the request ids that clients chose.
    let in_records = found_in(&texts, &[&backup.of_records()]);
    let keys = spellings(KEY);
    let others = |text: &&String| !keys.iter().any(|key| key.eq_ignore_ascii_case(text));
    assert_eq!(in_records.values().flatten().find(others), None, "{in_records:?}");
    backup.has_no_key_of(&system, &id).await;

    erase(&person).await;
    nothing_is_left_in_databases(&system, deployment, &texts).await;
    if let Some(broker) = &system.broker {
        let mut copies: Vec<Vec<u8>> = Vec::new();
        // Projectors may have read the erasure from the log before it was published.
        until("the erasure is published", Duration::from_secs(30), async || {
            copies.extend(broker.copies().await.unwrap());
            let mut words = copies.iter().flat_map(|copy| copy.windows(14));
            words.any(|word| word == b"account.erased")
        })
        .await;
        let file = system.directory().join("copies");
        std::fs::write(&file, copies.join(&b'\n')).unwrap();
        assert_eq!(found_in(&texts, &[&file]), BTreeMap::new());
    }
    system.terminate_all();
    nothing_was_logged(&system, &texts);
    no_import_brings_them_back(&system, deployment, &export).await;
    backup.restore(&system).await;
    nobody_comes_back(&mut system, deployment, &person, &id, &texts).await;
    system.stop().await;
}

/// Checks that logs contain nothing but the client's address and user agent, and those only where they are meant to
/// be.
fn nothing_was_logged(system: &System, texts: &BTreeSet<String>) {
    let logs = logs(system);
    assert!(logs.iter().any(|log| log.ends_with(LOGS_OF_CLIENTS[0])));
    let paths: Vec<&Path> = logs.iter().map(std::path::PathBuf::as_path).collect();
    let mut found = found_in(texts, &paths);
    let clients = BTreeSet::from([ADDRESS.to_string(), BROWSER.to_owned()]);
    for log in LOGS_OF_CLIENTS {
        let of_clients = found.remove(log).unwrap_or_default();
        assert!(of_clients.contains(&ADDRESS.to_string()), "{log}: {of_clients:?}");
        assert!(of_clients.is_subset(&clients), "{log}: {of_clients:?}");
    }
    assert_eq!(found, BTreeMap::new());
}

/// Checks that an export from before the erasure is refused while the keys are destroyed.
async fn no_import_brings_them_back(system: &System, deployment: Deployment, export: &str) {
    let database = match deployment {
        Deployment::Embedded => None,
        _ => Some(TestDatabase::create().await),
    };
    let url = database.as_ref().map(|it| ("DATABASE_URL", it.url().to_string()));
    let place = Place::new(&system.data_dir().join("keys"), url.into_iter().collect());
    place.run(&["migrate"]);
    let keys = system.database_url("subject-keys.db");
    place.run(&["keys", "copy", "--from", &keys, "--from-log", &system.store_url()]);
    let refused = place.refused(&["events", "import", export]);
    assert!(refused.contains("were erased after the export was made"), "{refused}");
}

/// Restores the log, the roles' records and the audit tree from before, and checks that the person is erased again,
/// by `restore check` alone or by a start.
async fn nobody_comes_back(
    system: &mut System,
    deployment: Deployment,
    person: &Person,
    id: &str,
    texts: &BTreeSet<String>,
) {
    assert_eq!(check(system, &["--repair"]), (Some(0), json!([id])));
    launch(system).await;
    person.get("/auth/me").await.expect(401);
    person.get("/tasks").await.expect(401);
    let refresh = json!({"refresh_token": person.refresh_token});
    person.post("/auth/refresh", refresh).await.expect(401);
    let login = json!({"email": person.email, "password": PASSWORD});
    person.post("/auth/login", login.clone()).await.expect(401);
    assert_eq!(check(system, &[]).1, json!([]));
    nothing_is_left_in_databases(system, deployment, texts).await;
    // Nobody owns the address.
    let mut again = person.clone();
    again.token.clear();
    again.post("/auth/register", login).await.expect(201);
    system.read_models_equal_the_log().await;
}
