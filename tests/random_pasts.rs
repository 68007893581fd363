//! Random histories of a task: the state at any moment is the fold of the log up to it, the changes of the history
//! applied in order give every state, and reverting back and forth leads to the beginning.

use std::{panic::AssertUnwindSafe, sync::Arc};

use event_store::EventStore;
use events::{Aggregate as _, Event, StreamName, Task, Timestamp};
use futures::FutureExt as _;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

use crate::support::{Deployment, Person, System};

const HISTORIES: u64 = 5;
const COMMANDS: usize = 24;
/// The fields of a task apart from its times.
const WHAT: [&str; 6] = ["title", "description", "status", "priority", "due", "tags"];

#[tokio::test(flavor = "multi_thread")]
async fn embedded_random_pasts() {
    random_pasts(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random_pasts_on_postgres_and_rabbitmq() {
    random_pasts(Deployment::Servers).await;
}

async fn random_pasts(deployment: Deployment) {
    let system = System::start(deployment).await;
    let ada = Person::join(&system.base, "ada").await;
    let log = system.open_log().await;
    for _ in 0..HISTORIES {
        let seed = rand::random();
        let mut past = Past::begin(&ada, Arc::clone(&log), seed).await;
        let laws = AssertUnwindSafe(past.keeps_the_laws(&system)).catch_unwind();
        if let Err(failure) = laws.await {
            eprintln!("the seed of this history is {seed}");
            std::panic::resume_unwind(failure);
        }
    }
    system.stop().await;
}

/// A task and its random history.
struct Past<'a> {
    owner: &'a Person,
    log: Arc<dyn EventStore>,
    random: StdRng,
    path: String,
}

impl<'a> Past<'a> {
    async fn begin(owner: &'a Person, log: Arc<dyn EventStore>, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut task = fields(&mut random);
        task["title"] = json!("The first title");
        task.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let created = owner.post("/tasks", task).await.expect(201).body;
        Self { owner, log, random, path: format!("/tasks/{}", created["id"].as_str().unwrap()) }
    }

    async fn keeps_the_laws(&mut self, system: &System) {
        for _ in 0..COMMANDS {
            self.command().await;
        }
        if self.states().await.len() <= 2 {
            // It was deleted first, and by chance never restored: one history in sixty has nothing else.
            let restore = format!("{}/restore", self.path);
            self.owner.post(&restore, json!({})).await.expect(200);
        }
        system.read_models_equal_the_log().await;
        let states = self.states().await;
        assert!(states.len() > 2, "nothing has happened");
        self.every_moment_is_the_fold_of_what_was_before(&states).await;
        self.the_changes_give_every_state(&states).await;
        self.back_and_forth_leads_to_where_it_began(&states).await;
    }

    /// Sends a random command, whether it is refused or not.
    async fn command(&mut self) {
        let path = &self.path;
        let answer = match self.random.random_range(0..12) {
            0..5 => self.owner.patch(path, fields(&mut self.random)).await,
            5 => self.owner.delete(path).await,
            6 => self.owner.post(&format!("{path}/restore"), json!({})).await,
            7 => {
                let to_version = self.random.random_range(1..8);
                let body = json!({ "to_version": to_version });
                self.owner.post(&format!("{path}/revert"), body).await
            }
            _ => {
                let moves = ["start", "complete", "cancel", "reopen"];
                let one = moves[self.random.random_range(0..moves.len())];
                self.owner.post(&format!("{path}/{one}"), json!({})).await
            }
        };
        let status = answer.status.as_u16();
        assert!([200, 204, 404, 409, 422].contains(&status), "{answer:?}");
    }

    /// The state after each event of the stream, and the time of that event.
    async fn states(&self) -> Vec<(Timestamp, Task)> {
        let stream = StreamName::raw(self.path.replace("/tasks/", "task-"));
        let id = self.path.rsplit('/').next().unwrap().parse().unwrap();
        let mut states: Vec<(Timestamp, Task)> = Vec::new();
        for record in self.log.read_stream(&stream, 0, 1_000).await.unwrap() {
            let event = match Event::try_from(&record).unwrap() {
                Event::Task(event) => Some(event),
                _ => None,
            };
            let event = event.unwrap();
            let before = states.last().map(|(_, task)| task.clone());
            let after = Task::evolve(before, &id, &event, record.version, record.recorded_at);
            states.push((record.recorded_at, after.unwrap()));
        }
        states
    }

    async fn every_moment_is_the_fold_of_what_was_before(&self, states: &[(Timestamp, Task)]) {
        for (number, (at, state)) in states.iter().enumerate() {
            let by_version = format!("{}?version={}", self.path, number + 1);
            assert_eq!(self.owner.get(&by_version).await.expect(200).body, shown(state), "{by_version}");
            // The state is read at this time and a microsecond before. Several events may have the same time.
            for moment in [*at, Timestamp::from_micros(at.as_micros() - 1)] {
                let path = format!("{}?as_of={moment}", self.path);
                let answer = self.owner.get(&path).await;
                match states.iter().rev().find(|(at, _)| *at <= moment) {
                    Some((_, state)) => assert_eq!(answer.expect(200).body, shown(state), "{path}"),
                    None => assert_eq!(answer.expect(404).code(), "not-found"),
                }
            }
        }
        let (_, last) = states.last().unwrap();
        let now = self.owner.get(&self.path).await;
        match last.deleted_at {
            None => assert_eq!(now.expect(200).body, shown(last)),
            Some(_) => assert_eq!(now.expect(404).code(), "not-found"),
        }
    }

    /// The history from all pages.
    async fn history(&mut self) -> Vec<Value> {
        let limit = self.random.random_range(1..9);
        let (mut items, mut query) = (Vec::new(), format!("?limit={limit}"));
        loop {
            let page = self.owner.get(&format!("{}/history{query}", self.path)).await;
            let page = page.expect(200).body;
            items.extend(page["items"].as_array().unwrap().clone());
            let Some(cursor) = page["next_cursor"].as_str() else {
                return items;
            };
            query = format!("?limit={limit}&cursor={cursor}");
        }
    }

    async fn the_changes_give_every_state(&mut self, states: &[(Timestamp, Task)]) {
        let history = self.history().await;
        assert_eq!(history.len(), states.len());
        let mut state = json!({});
        for (item, (at, expected)) in history.iter().zip(states) {
            assert_eq!(item["recorded_at"], json!(at.to_string()));
            for change in item["changes"].as_array().unwrap() {
                let field = change["field"].as_str().unwrap();
                assert_eq!(state[field].take(), change["from"], "{item}");
                state[field] = change["to"].clone();
            }
            // A task that was created without tags has an empty list.
            if state["tags"].is_null() {
                state["tags"] = json!([]);
            }
            let expected = shown(expected);
            for field in WHAT.iter().chain(&["completed_at", "deleted_at"]) {
                assert_eq!(state[*field], expected[*field], "{field}: {item}");
            }
        }
    }

    async fn back_and_forth_leads_to_where_it_began(&mut self, states: &[(Timestamp, Task)]) {
        let restore = format!("{}/restore", self.path);
        let now = self.owner.post(&restore, json!({})).await.expect(200).body;
        let revert = format!("{}/revert", self.path);
        // Reverting to a state in the trash would end the history.
        let present = |to: &usize| states[*to].1.deleted_at.is_none();
        let versions: Vec<usize> = (0..states.len()).filter(present).collect();
        for _ in 0..3 {
            let to = versions[self.random.random_range(0..versions.len())];
            let back = json!({ "to_version": to + 1 });
            let back = self.owner.post(&revert, back).await.expect(200).body;
            assert_eq!(what(&back), what(&shown(&states[to].1)));
            let forth = json!({ "to_version": now["version"] });
            let forth = self.owner.post(&revert, forth).await.expect(200).body;
            assert_eq!(what(&forth), what(&now));
        }
    }
}

fn shown(state: &Task) -> Value {
    serde_json::to_value(api_types::Task::from(state)).unwrap()
}

fn what(task: &Value) -> Vec<&Value> {
    WHAT.iter().map(|field| &task[*field]).collect()
}

/// Random values for some fields.
fn fields(random: &mut StdRng) -> Value {
    let values: [(&str, &[Value]); 5] = [
        ("title", &[json!("One"), json!("Zwei – mit Strich"), json!("\u{1f99a}")]),
        ("description", &[json!("Two\nlines"), json!("One"), Value::Null]),
        ("priority", &[json!("low"), json!("normal"), json!("urgent")]),
        ("due", &[json!("2030-12-01"), json!("2030-12-01T09:00:00.000001Z"), Value::Null]),
        ("tags", &[json!(["a"]), json!(["b", "a"]), Value::Null]),
    ];
    let mut chosen = json!({});
    for (field, values) in values {
        if random.random_bool(0.4) {
            chosen[field] = values[random.random_range(0..values.len())].clone();
        }
    }
    chosen
}
