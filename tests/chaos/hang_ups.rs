//! Somebody who hangs up in the middle of commands, and looks afterwards instead of sending them again. What was
//! received is carried out to its end, by processes that have been through all faults.

use std::time::Duration;

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;
use uuid::Uuid;

use crate::{harness::Harness, held_appends::held_back, somebody::Somebody, support::Person};

/// Number of commands whose client hangs up, at each command API.
const COMMANDS: usize = 4;
/// Time until a command that was sent waits for its append. A server looks four times a second for clients that have
/// gone.
const PAUSE: Duration = Duration::from_millis(500);

/// Checks that commands whose clients hang up are carried out to their end. Only while there is no fault: nobody
/// promises this of a process that is killed. Their appends wait behind another one, so that they have not begun when
/// the clients have gone.
pub(crate) async fn what_was_received_is_carried_out(harness: &Harness) {
    if harness.is_on_kurrentdb {
        return;
    }
    let somebody = Somebody::join(harness).await;
    for front in harness.command_apis().await {
        let person = Person { base: front, ..somebody.person.clone() };
        let titles: Vec<_> = (0..COMMANDS).map(|_| Uuid::new_v4().to_string()).collect();
        let hang_ups = async {
            person.hang_up(&Method::POST, "/tasks", create("in front of the others"), PAUSE).await;
            let others =
                titles.iter().map(|title| person.hang_up(&Method::POST, "/tasks", create(title), PAUSE));
            join_all(others).await;
            sleep(PAUSE).await;
        };
        held_back(harness, hang_ups).await.unwrap();
        harness
            .recovery
            .persist("what was received is carried out", async || {
                let page = somebody.try_send(Method::GET, "/tasks?limit=100", None).await?;
                let items = page.body["items"].as_array().ok_or("not a page")?;
                let is_there = |title: &String| items.iter().any(|task| task["title"] == title.as_str());
                match titles.iter().all(is_there) {
                    true => Ok(()),
                    false => Err(format!("{titles:?} are not all in {items:#?}")),
                }
            })
            .await;
    }
}

fn create(title: &str) -> Option<Value> {
    Some(json!({ "title": title }))
}
