//! After an erasure nothing of the person is left anywhere, the log included. People erase themselves over HTTP, and
//! operators erase others.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection, Row as _};

use crate::support::{Deployment, PASSWORD, Person, System, at_once, until};

/// Words in everything that the erased person has written or can be identified by.
pub(crate) const WORDS: [&str; 8] = [
    "quagga-title",
    "quagga-description",
    "quagga-tag",
    "quagga-nickname",
    "quagga-browser",
    "quagga-program",
    "quagga-key",
    "127.9.8.7",
];
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 9, 8, 7));

#[tokio::test]
async fn embedded_system_forgets_people() {
    people_are_forgotten(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_forgotten_on_postgres_and_rabbitmq() {
    people_are_forgotten(Deployment::Servers).await;
}

/// Registers a person who leaves traces wherever that is possible.
pub(crate) async fn leave_traces(system: &System) -> Person {
    let mut person = Person::join(&system.base, "quagga").await;
    person.http = Client::builder().local_address(ADDRESS).user_agent("quagga-browser/7").build().unwrap();
    let wrong = json!({"email": person.email, "password": "this passphrase is wrong"});
    person.post("/auth/login", wrong.clone()).await.expect(401);
    person.log_in().await;
    person.post("/auth/login", wrong).await.expect(401);
    let program = json!({"name": "quagga-program", "scopes": ["tasks:read"]});
    person.post("/auth/tokens", program).await.expect(201);
    person.patch("/auth/me", json!({"display_name": "quagga-nickname the second"})).await.expect(200);
    let mut made = Vec::new();
    for number in 0..30 {
        let task = json!({
            "title": format!("quagga-title {number}"),
            "description": "quagga-description",
            "tags": ["quagga-tag"],
        });
        let key = format!("quagga-key-{number}");
        let created = person
            .try_send(Method::POST, "/tasks", Some(task), &[("Idempotency-Key", &key)])
            .await
            .unwrap()
            .expect(201);
        made.push(created.body["id"].as_str().unwrap().to_owned());
    }
    for (number, id) in made.iter().enumerate().take(10) {
        let renamed = json!({"title": format!("quagga-title, renamed {number}")});
        person.patch(&format!("/tasks/{id}"), renamed).await.expect(200);
    }
    person.delete(&format!("/tasks/{}", made[0])).await.expect(204);
    person.get("/tasks?q=quagga-title").await.expect(200);
    person
}

/// Everything that an operator with the keys can read in the log.
fn said_in_log(system: &System) -> String {
    system.run(&["events", "tail", "--from", "0", "--json"])
}

/// The tables or files that still contain one of the words.
async fn traces(system: &System, deployment: Deployment, words: &[&str]) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    let mut look = |place: String, bytes: &[u8]| {
        let holds = |word: &&&str| bytes.windows(word.len()).any(|part| part == word.as_bytes());
        let words: Vec<_> = words.iter().filter(holds).map(ToString::to_string).collect();
        if !words.is_empty() {
            found.insert(place, words);
        }
    };
    if deployment == Deployment::Embedded {
        for (name, bytes) in files(&system.data_dir()) {
            look(name, &bytes);
        }
        return found;
    }
    let mut connection = PgConnection::connect(&system.database_url("")).await.unwrap();
    let tables = sqlx::query(
        "SELECT schemaname || '.' || tablename FROM pg_tables
         WHERE schemaname NOT IN ('pg_catalog', 'information_schema')",
    );
    for table in tables.fetch_all(&mut connection).await.unwrap() {
        let table: String = table.get(0);
        let rows =
            sqlx::query(&format!("SELECT t::text FROM {table} t")).fetch_all(&mut connection).await.unwrap();
        let text: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        look(table, text.join("\n").as_bytes());
    }
    connection.close().await.unwrap();
    found
}

fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.append(&mut files(&path));
        } else if let Ok(bytes) = std::fs::read(&path) {
            // A file may disappear between the two calls.
            found.insert(path.file_name().unwrap().to_string_lossy().into_owned(), bytes);
        }
    }
    found
}

async fn people_are_forgotten(deployment: Deployment) {
    let system = System::start(deployment).await;
    let stays = Person::join(&system.base, "stays").await;
    stays.post("/tasks", json!({"title": "Stays"})).await.expect(201);
    let mut ada = leave_traces(&system).await;
    let bob = leave_traces(&system).await;
    let emails = [ada.email.clone(), bob.email.clone()];
    let words: Vec<&str> = WORDS.into_iter().chain(emails.iter().map(String::as_str)).collect();
    system.read_models_equal_the_log().await;
    // Tables from before a rebuild contain everything too.
    system.run(&["projection", "rebuild", "--yes"]);
    let before = traces(&system, deployment, &words).await;
    let history = said_in_log(&system);
    for word in &words {
        let holds = |found: &Vec<String>| found.iter().any(|other| other == word);
        let stands = before.values().any(holds) || history.contains(word);
        assert!(stands, "{word} stands nowhere: {before:?}");
    }
    assert!(history.contains("quagga-title"), "keys open the log");

    let receipt = erase_themselves(&mut ada).await;
    the_receipt_proves_it(&system, &ada, &receipt).await;
    let said = system.run(&["users", "erase", &bob.email, "--yes"]);
    assert!(said.contains(&bob.email) && said.contains("was erased"), "{said}");
    let receipt = said.split_whitespace().find(|word| word.starts_with("/audit/proof")).unwrap();
    the_receipt_proves_it(&system, &bob, receipt).await;
    // Without a terminal to confirm on, nobody is erased.
    let asked = system.tool(&["users", "erase", &stays.email]).output().unwrap();
    assert_eq!(asked.status.code(), Some(1));

    at_once("their tokens are refused everywhere", async || {
        let mut refused = true;
        for person in [&ada, &bob] {
            let task = json!({"title": "quagga-title, too late"});
            for answer in
                [person.get("/auth/me").await, person.get("/tasks").await, person.post("/tasks", task).await]
            {
                refused &= answer.status == 401 && answer.code() == "session-ended";
            }
        }
        refused
    })
    .await;
    for person in [&ada, &bob] {
        let known = json!({"email": person.email, "password": PASSWORD});
        let unknown = json!({"email": "nobody@example.org", "password": PASSWORD});
        let (known, unknown) = (
            person.post("/auth/login", known).await.expect(401),
            person.post("/auth/login", unknown).await.expect(401),
        );
        assert_eq!(told(known.body), told(unknown.body));
    }
    nothing_is_left(&system, deployment, &words).await;
    // Those who hold all existing keys cannot open the events either.
    let history = said_in_log(&system);
    assert!(history.contains("task.created") && history.contains("account.erased"));
    for word in &words {
        assert!(!history.contains(word), "{word} can be read in the log");
    }

    // The person registers again as somebody new, without any earlier data.
    let again = json!({"email": ada.email, "password": PASSWORD});
    let old = ada.token.clone();
    ada.token = String::new();
    ada.post("/auth/register", again).await.expect(201);
    ada.log_in().await;
    assert_eq!(ada.get("/tasks").await.expect(200).body["items"], json!([]));
    ada.token = old;
    ada.get("/tasks").await.expect(401);

    system.read_models_equal_the_log().await;
    system.run(&["projection", "rebuild", "--yes"]);
    system.read_models_equal_the_log().await;
    // The address is in use again, and so are the user agent and the client address of the registration.
    let gone: Vec<_> = words
        .into_iter()
        .filter(|word| ![ada.email.as_str(), "quagga-browser", "127.9.8.7"].contains(word))
        .collect();
    nothing_is_left(&system, deployment, &gone).await;
    let tasks = stays.get("/tasks").await.expect(200);
    assert_eq!(tasks.body["items"][0]["title"], "Stays");
    if deployment == Deployment::Servers {
        whose_key_is_damaged_is_named_and_can_be_erased(&system, &stays).await;
    }
    system.stop().await;
}

async fn whose_key_is_damaged_is_named_and_can_be_erased(system: &System, person: &Person) {
    let check = |arguments: &[&str]| {
        let output = system.tool(&[&["restore", "check", "--json"], arguments].concat()).output();
        let output = output.unwrap();
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), said["damaged_keys"].clone())
    };
    assert_eq!(check(&[]), (Some(0), json!([])));
    let me = person.get("/auth/me").await.expect(200);
    let id = me.body["user"]["id"].as_str().unwrap();
    let mut connection = PgConnection::connect(&system.database_url("")).await.unwrap();
    let damage = "UPDATE subject_keys.data_keys SET wrapped = decode(repeat('00', 60), 'hex') WHERE subject = $1::uuid";
    let damaged = sqlx::query(damage).bind(id).execute(&mut connection).await.unwrap();
    assert_eq!(damaged.rows_affected(), 1);
    connection.close().await.unwrap();
    // Only a backup could restore the key.
    for arguments in [&[][..], &["--repair"]] {
        assert_eq!(check(arguments), (Some(1), json!([id])));
    }
    let said = system.run(&["users", "erase", id, "--yes"]);
    assert!(said.contains(id) && said.contains("was erased"), "{said}");
    assert_eq!(check(&[]), (Some(0), json!([])));
}

/// Erases the caller's account, and returns the path of the receipt.
async fn erase_themselves(person: &mut Person) -> String {
    let erase = async |person: &Person, password: &str| {
        let body = json!({ "password": password });
        person.send(Method::DELETE, "/auth/me", Some(body)).await
    };
    erase(person, "this passphrase is wrong").await.expect(401);
    let erased = erase(person, PASSWORD).await.expect(204);
    assert!(!erased.header("consistency-token").is_empty());
    // Auth refuses the session at once, whatever other roles have cached.
    let refresh = json!({"refresh_token": person.refresh_token});
    person.post("/auth/refresh", refresh).await.expect(401);
    erase(person, PASSWORD).await.expect(401);
    erased.header("erasure-receipt").to_owned()
}

/// Checks that everybody who knows the receipt's path can get it, and can verify it with the public key alone.
async fn the_receipt_proves_it(system: &System, person: &Person, place: &str) {
    let text = async |place: &str| {
        let answer = reqwest::get(format!("{}{place}", system.base)).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let mut receipt = String::new();
    // It is 404 until a checkpoint covers the erasure.
    until("there is a receipt", Duration::from_secs(60), async || {
        let (status, said) = text(place).await;
        receipt = said;
        status == 200
    })
    .await;
    let (at, id) = place.split_once("&id=").unwrap();
    assert_eq!(text(&format!("{at}&id={}", uuid::Uuid::new_v4())).await.0, 404);
    assert!(!id.is_empty() && !receipt.contains(&person.email));

    let file = system.data_dir().join("receipt");
    let key = system.run(&["audit", "key"]);
    let check = |receipt: &str| {
        std::fs::write(&file, receipt).unwrap();
        let file = file.to_str().unwrap();
        system.tool(&["audit", "check-proof", file, "--key", key.trim()]).output().unwrap()
    };
    let checked = check(&receipt);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.success() && said.contains("account.erased of account-"), "{said}");
    // A receipt with another event is refused.
    let line = receipt.lines().find(|line| line.starts_with("extra ")).unwrap();
    let event = STANDARD.decode(line.trim_start_matches("extra ")).unwrap();
    let forged = String::from_utf8(event).unwrap().replace("account.erased", "account.renamed");
    let forged = receipt.replace(line, &format!("extra {}", STANDARD.encode(forged)));
    assert_eq!(check(&forged).status.code(), Some(1));
    std::fs::remove_file(&file).unwrap();
}

/// A problem without its members that differ between requests.
fn told(mut problem: Value) -> Value {
    problem.as_object_mut().unwrap().remove("request_id");
    problem
}

pub(crate) async fn nothing_is_left(system: &System, deployment: Deployment, words: &[&str]) {
    let mut last = BTreeMap::new();
    let gone = until("nothing of them is left", Duration::from_secs(60), async || {
        let found = traces(system, deployment, words).await;
        if found != last {
            eprintln!("still there: {found:?}");
        }
        last = found;
        last.is_empty()
    });
    gone.await;
}
