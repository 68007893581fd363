//! Tasks whose last event the log loses while a command API has the state after it in memory. Another command API gives
//! them another event of the same version, so that no append shows the first one that its state is of another history.
//! Commands without a key are decided on states in memory; those with a key are preceded by a look at the log.

use std::time::Duration;

use events::ConsistencyToken;
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::{
    harness::Harness,
    recovery::Recovery,
    support::{Answer, Person},
};

/// Number of tasks. Each shows once whether a state in memory is used. They are asked for one after another, since
/// states in memory are used only while the log was found unchanged a moment ago.
const TASKS: usize = 8;
const INTERVAL: Duration = Duration::from_millis(500);
const TIMEOUT: Duration = Duration::from_secs(3);

pub(crate) struct LostStates {
    person: Person,
    recovery: Recovery,
    /// Has the lost states in memory.
    misled: String,
    other: String,
    tasks: Vec<String>,
}

impl LostStates {
    /// Creates the tasks, which the log must keep.
    pub(crate) async fn create(harness: &Harness, person: Person) -> Self {
        let [misled, other] = <[String; 2]>::try_from(harness.command_apis().await).unwrap();
        let mut tasks = Vec::new();
        for _ in 0..TASKS {
            tasks.push(person.create("kept").await);
        }
        Self { person, recovery: harness.recovery.clone(), misled, other, tasks }
    }

    /// Gives each task the event that the log must lose. Returns the first position of these events.
    pub(crate) async fn give_states_to_lose(&self) -> u64 {
        let described = self.tasks.iter().map(async |task| {
            let answer = self.change(&self.misled, task, json!({"description": "lost"})).await;
            let token: ConsistencyToken = answer.header("Consistency-Token").parse().unwrap();
            token.position
        });
        join_all(described).await.into_iter().min().unwrap()
    }

    /// Checks after the loss that no command is decided on a lost state.
    pub(crate) async fn nobody_uses_them(&self) {
        let tagged = self.tasks.iter().map(async |task| {
            let answer = self.change(&self.other, task, json!({"tags": ["new"]})).await;
            assert_eq!(answer.body["version"], 2, "the log has not lost {task}: {answer:?}");
            is_of_the_log(&answer);
        });
        join_all(tagged).await;
        for task in &self.tasks {
            is_of_the_log(&self.change(&self.misled, task, json!({"title": "decided"})).await);
            sleep(INTERVAL).await;
        }
    }

    /// Changes a task without a key, which may be repeated: the second time it has no effect.
    async fn change(&self, command_api: &str, task: &str, change: Value) -> Answer {
        let path = format!("/tasks/{task}");
        let person = Person { base: command_api.to_owned(), ..self.person.clone() };
        self.recovery
            .persist("a task is changed", async || {
                let sending = person.try_send(Method::PATCH, &path, Some(change.clone()), &[]);
                match timeout(TIMEOUT, sending).await {
                    Ok(Ok(answer)) if answer.status == 200 => Ok(answer),
                    outcome => Err(format!("{outcome:?}")),
                }
            })
            .await
    }
}

fn is_of_the_log(answer: &Answer) {
    assert!(
        answer.body["description"].is_null() && answer.body["tags"] == json!(["new"]),
        "decided on a state that the log has lost: {answer:?}"
    );
}
