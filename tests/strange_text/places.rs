//! A table of further places that accept a client's text, with the longest and strangest accepted value, and where it
//! can be read.

use std::fs;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde_json::{Value, json};

use super::{strange, visible};
use crate::support::{Deployment, PASSWORD, Person, System};

#[tokio::test(flavor = "multi_thread")]
async fn embedded_text_of_every_other_place_comes_out_as_it_went_in() {
    every_other_place(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_of_every_other_place_comes_out_as_it_went_in_on_postgres_and_rabbitmq() {
    every_other_place(Deployment::Servers).await;
}

/// An address with `octets` octets when its domain is in DNS form.
fn address(octets: usize) -> String {
    let filler = "d".repeat(octets - 209);
    let (local, b, c) = ("A".repeat(64), "b".repeat(60), "c".repeat(60));
    format!("{local}@{b}.{c}.{filler}.b\u{fc}cher.example")
}

/// The text sent to a place, and the text read back.
struct Place {
    name: &'static str,
    went_in: Value,
    came_out: Value,
}

fn place(name: &'static str, went_in: impl Into<Value>, came_out: &Value) -> Place {
    Place { name, went_in: went_in.into(), came_out: came_out.clone() }
}

async fn every_other_place(deployment: Deployment) {
    let system = System::start(deployment).await;
    let mut places = Vec::new();
    let ada = registered(&system, &mut places).await;
    tokens(&ada, &mut places).await;
    batches(&ada, &mut places).await;
    operators(&system, &ada, &mut places).await;
    let files = if matches!(deployment, Deployment::Embedded) {
        imported(&system, &ada, &mut places).await
    } else {
        0
    };
    for Place { name, went_in, came_out } in &places {
        assert_eq!(came_out, went_in, "{name}");
    }
    assert_eq!(places.len(), 14 + files);
    what_comes_back_is_nobody_elses(&ada).await;
    system.read_models_equal_the_log().await;
    system.stop().await;
}

/// Registers an account with such an address and name. The address can be given in another spelling later.
async fn registered(system: &System, places: &mut Vec<Place>) -> Person {
    let mut ada = Person::join(&system.base, "ada").await;
    let (email, name) = (address(254), strange(100));
    let body = |email: &str| json!({"email": email, "password": PASSWORD, "display_name": name});
    let too_long = ada.post("/auth/register", body(&address(255))).await;
    too_long.expect(422);
    let made = ada.post("/auth/register", body(&email)).await.expect(201).body;
    places.push(place("the address in the answer", email.as_str(), &made["user"]["email"]));
    ada.email = email.clone();
    ada.log_in().await;
    let me = ada.get("/auth/me").await.expect(200).body;
    places.push(place("the address of an account", email.as_str(), &me["user"]["email"]));
    places.push(place("the name of an account", name.as_str(), &me["user"]["display_name"]));
    let dns = email.to_lowercase().replace("b\u{fc}cher", "xn--bcher-kva");
    let decomposed = email.replace('\u{fc}', "u\u{308}");
    for (what, spelling) in [("as DNS has it", dns), ("decomposed", decomposed)] {
        let body = json!({"email": spelling, "password": PASSWORD});
        let login = ada.post("/auth/login", body).await.expect(200).body;
        places.push(place(what, email.as_str(), &login["user"]["email"]));
    }
    ada
}

async fn tokens(ada: &Person, places: &mut Vec<Place>) {
    let name = strange(100);
    let body = json!({"name": name, "scopes": ["tasks:read"]});
    let made = ada.post("/auth/tokens", body).await.expect(201).body;
    places.push(place("the name of a token in the answer", name.as_str(), &made["name"]));
    let listed = ada.get("/auth/tokens").await.expect(200).body;
    places.push(place("the name of a token", name.as_str(), &listed["items"][0]["name"]));
}

/// Creates and changes the longest task in a batch.
async fn batches(ada: &Person, places: &mut Vec<Place>) {
    let (title, other) = (strange(200), strange(199));
    let description = strange(10_000);
    let tags: Vec<_> = (0..20).map(|n| format!("{n:02}{}", strange(48))).collect();
    let create = json!({"op": "create", "title": other, "description": description, "tags": tags});
    let commands = json!({"commands": [create]});
    let made = ada.post("/tasks/batch", commands).await.expect(200).body;
    let id = made["results"][0]["task"]["id"].clone();
    let update = json!({"op": "update", "id": id, "title": title});
    let commands = json!({"commands": [update]});
    let changed = ada.post("/tasks/batch", commands).await.expect(200).body;
    places.push(place(
        "a title in a batch's answer",
        title.as_str(),
        &changed["results"][0]["task"]["title"],
    ));
    let path = format!("/tasks/{}", id.as_str().unwrap());
    let task = ada.get(&path).await.expect(200).body;
    places.push(place("a title of a batch", title.as_str(), &task["title"]));
    places.push(place("a description of a batch", description.as_str(), &task["description"]));
    places.push(place("tags of a batch", tags, &task["tags"]));
    let history = ada.get(&format!("{path}/history")).await.expect(200).body;
    let from = &history["items"][1]["changes"][0]["from"];
    places.push(place("a title in a history", other.as_str(), from));
}

/// The name of an operator and the reason for a command.
async fn operators(system: &System, ada: &Person, places: &mut Vec<Place>) {
    let (by, reason) = (strange(100), strange(500));
    let arguments = ["users", "grant", &ada.email, "auditor", "--by", &by, "--reason", &reason];
    let grant = system.tool(&arguments).output().unwrap();
    assert!(grant.status.success(), "{}", String::from_utf8_lossy(&grant.stderr));
    let trail = "/audit/events?type=operation.started";
    let mut told = Value::Null;
    crate::support::until("the operation is in the trail", std::time::Duration::from_secs(20), async || {
        told = ada.get(trail).await.body["items"][0]["operation"].clone();
        !told.is_null()
    })
    .await;
    places.push(place("who gives a command", by, &told["by"]));
    places.push(place("why a command is given", reason, &told["reason"]));
}

/// Imports task files of every format. Returns the number of places.
async fn imported(system: &System, ada: &Person, places: &mut Vec<Place>) -> usize {
    let formats = ["tasks.json", "tasks.csv", "tasks.ics"];
    for name in formats {
        let file = system.directory().join(format!("strange-{name}"));
        let file = file.display().to_string();
        let bob = Person::join(&system.base, "bob").await;
        for (person, arguments) in
            [(ada, ["tasks", "export", "--output", &file].as_slice()), (&bob, &["tasks", "import", &file])]
        {
            let mut command = system.tool(arguments);
            command.args(["--url", &system.base]).env("TASKLEDGER_TOKEN", &person.token);
            let output = command.output().unwrap();
            assert!(output.status.success(), "{arguments:?} {output:?}");
        }
        fs::remove_file(&file).unwrap();
        let texts = async |person: &Person| {
            let task = person.get("/tasks").await.expect(200).body["items"][0].clone();
            json!([task["title"], task["description"], task["tags"]])
        };
        places.push(place(name, texts(ada).await, &texts(&bob).await));
    }
    formats.len()
}

/// Values that the API has issued and takes back are refused in any other spelling, and never cause an internal
/// error.
async fn what_comes_back_is_nobody_elses(ada: &Person) {
    let task = ada.get("/tasks").await.expect(200).body["items"][0]["id"].clone();
    let history = format!("/tasks/{}/history", task.as_str().unwrap());
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    for text in [strange(500), visible(2_000), "%00".to_owned(), "A".repeat(2_000)] {
        let text = encoded(&text);
        for list in ["/tasks", &history, "/audit/events"] {
            let answer = ada.get(&format!("{list}?cursor={text}")).await.expect(400);
            assert!(["bad-cursor", "bad-parameter"].contains(&answer.code()), "{list}: {answer:?}");
        }
        ada.get(&format!("/tasks/changes?since={text}")).await.expect(400);
    }
    for id in [visible(4_000), "\u{e9}".repeat(100), "A".repeat(4_000)] {
        let headers = [("Last-Event-ID", id.as_str())];
        let answer = ada.try_send(Method::GET, "/tasks/events", None, &headers).await;
        answer.unwrap().expect(400);
    }
}
