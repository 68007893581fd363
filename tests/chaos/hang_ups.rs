//! Somebody who hangs up in the middle of commands, and looks afterwards instead of sending them again. What was
//! received is carried out to its end, by processes that have been through all faults.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{harness::Harness, somebody::Somebody, support::Person};

/// Number of times that somebody hangs up, at each gateway and at each command API.
const TIMES: u32 = 4;
/// Number of commands in a request. They are about one task, so that they are carried out one after another.
const COMMANDS: u32 = 6;
const BATCH: &str = "/tasks/batch";
const TIMEOUT: Duration = Duration::from_secs(10);

/// Checks that a request whose client hangs up is carried out to its end. Only while there is no fault: nobody promises
/// this of a process that is killed.
pub(crate) async fn what_was_received_is_carried_out(harness: &Harness) {
    let somebody = Somebody::join(harness).await;
    let mut fronts = harness.command_apis().await;
    if !harness.is_embedded {
        fronts.extend(harness.system.lock().await.bases.clone());
    }
    let mut expected = BTreeMap::new();
    for front in fronts {
        let person = Person {
            base: front,
            ..somebody.person.clone()
        };
        // The first request is awaited, and shows how long one takes.
        let awaited = create(harness, &person).await;
        let begun = Instant::now();
        answered(harness, &person, BATCH, rename(&awaited), 200).await;
        let duration = begun.elapsed();
        for time in 0..TIMES {
            let task = create(harness, &person).await;
            let moment = duration * (2 * time + 1) / (2 * TIMES);
            person
                .hang_up(&Method::POST, BATCH, Some(rename(&task)), moment)
                .await;
            expected.insert(task, (format!("title {COMMANDS}"), u64::from(COMMANDS) + 1));
        }
    }
    harness
        .recovery
        .persist("what was received is carried out", async || {
            let looking = somebody.try_send(Method::GET, "/tasks?limit=100", None);
            let page = looking.await?;
            let items = page.body["items"].as_array().ok_or("not a page")?;
            let mut found: BTreeMap<_, _> = items.iter().filter_map(title_and_version).collect();
            found.retain(|task, _| expected.contains_key(task));
            match found == expected {
                true => Ok(()),
                false => Err(format!("{found:#?}")),
            }
        })
        .await;
}

/// Creates a task, and returns its id.
async fn create(harness: &Harness, person: &Person) -> String {
    let created = answered(harness, person, "/tasks", json!({"title": "title 0"}), 201).await;
    created["id"].as_str().unwrap().to_owned()
}

/// The body of the answer with this status, in which every command of a batch is accepted.
async fn answered(harness: &Harness, person: &Person, path: &str, body: Value, status: u16) -> Value {
    harness
        .recovery
        .persist("somebody is answered", async || {
            let sending = person.try_send(Method::POST, path, Some(body.clone()), &[]);
            let sent = timeout(TIMEOUT, sending).await.map_err(|late| late.to_string())?;
            let answer = sent.map_err(|error| error.to_string())?;
            let results = answer.body["results"].as_array().into_iter().flatten();
            let are_accepted = results.into_iter().all(|result| result["status"] == 200);
            match answer.status == status && are_accepted {
                true => Ok(answer.body),
                false => Err(format!("{answer:?}")),
            }
        })
        .await
}

/// Commands that give the task one title after another.
fn rename(task: &str) -> Value {
    let title = |number: u32| json!({"op": "update", "id": task, "title": format!("title {number}")});
    let commands: Vec<Value> = (1..=COMMANDS).map(title).collect();
    json!({ "commands": commands })
}

fn title_and_version(task: &Value) -> Option<(String, (String, u64))> {
    let id = task["id"].as_str()?.to_owned();
    let title = task["title"].as_str()?.to_owned();
    Some((id, (title, task["version"].as_u64()?)))
}
