//! Users at work: each person twice at once, through every gateway, with a record of what was acknowledged.

mod observations;
mod random_commands;
mod requests;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use api_types::Task;
use events::{ConsistencyToken, TaskId, UserId};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IteratorRandom as _};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    command::{Command, Expected, alike},
    harness::Harness,
    order::Period,
    recovery::Recovery,
    support::Person,
};

pub(crate) const PEOPLE: usize = 5;
/// Number of concurrent workers of each person.
const WORKERS_PER_PERSON: usize = 2;
/// Number of tasks that all workers of a person share.
const SHARED: usize = 2;
/// Maximum number of tasks of a person, which must fit on a page.
const MAX_TASKS: usize = 40;
/// Time after which a client stops waiting for an answer and sends the request again.
const TIMEOUT: Duration = Duration::from_secs(3);
/// On average one of this many requests is abandoned before its answer can have come.
const HANG_UP_INTERVAL: u32 = 25;
/// On average one of this many requests has the longest headers that are accepted.
const LONG_HEADERS_INTERVAL: u32 = 40;

/// What was acknowledged about one command.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) key: String,
    /// The number of the request. Commands of one request share it, and later requests have a higher one.
    pub(crate) request: usize,
    pub(crate) period: Period,
    pub(crate) outcome: Outcome,
}

#[derive(Debug)]
pub(crate) enum Outcome {
    Refused,
    Done {
        /// The task in the answer, if it has one.
        task: Option<Task>,
        /// Number of events of the command, if nobody else works on the task.
        events: Option<usize>,
    },
}

pub(crate) struct Worker {
    pub(crate) name: String,
    pub(crate) records: Vec<Record>,
    /// The prefix of all titles of the person's tasks.
    tag: String,
    dice: StdRng,
    gateways: Vec<String>,
    person: Person,
    recovery: Recovery,
    /// The tasks that nobody else works on.
    own: BTreeMap<TaskId, Task>,
    /// The latest version seen of each shared task.
    shared: BTreeMap<TaskId, u64>,
    /// The latest state that was shown or acknowledged.
    latest: Option<ConsistencyToken>,
    requests: usize,
    /// Tokens of ended sessions.
    pub(crate) ended: Vec<String>,
    /// Number of requests whose answer was not awaited.
    pub(crate) hang_ups: AtomicUsize,
}

/// A request that is sent until it is answered.
struct Request {
    method: Method,
    path: String,
    body: Option<Value>,
    headers: Vec<(&'static str, String)>,
}

/// Registers and logs in all users before any fault.
pub(crate) async fn hire(seed: u64, harness: &Harness) -> Vec<Worker> {
    let gateways = harness.system.lock().await.bases.clone();
    let mut joining = JoinSet::new();
    for number in 0..PEOPLE {
        let (gateways, recovery) = (gateways.clone(), harness.recovery.clone());
        joining.spawn(async move { join(seed, number, gateways, recovery).await });
    }
    let mut joined = joining.join_all().await;
    joined.sort_by_key(|(number, ..)| *number);
    let people = joined.iter().map(|(number, id, _)| (*id, tag(*number))).collect();
    assert!(harness.people.set(people).is_ok(), "hired once");
    joined.into_iter().flat_map(|(_, _, workers)| workers).collect()
}

fn tag(person: usize) -> String {
    format!("<{person}>")
}

async fn join(
    seed: u64,
    number: usize,
    gateways: Vec<String>,
    recovery: Recovery,
) -> (usize, UserId, Vec<Worker>) {
    let first = Person::join(&gateways[0], &format!("person{number}")).await;
    let me = first.get("/auth/me").await.expect(200);
    let id = me.body["user"]["id"].as_str().unwrap().parse().unwrap();
    let mut shared = BTreeMap::new();
    for _ in 0..SHARED {
        let title = format!("{} shared", tag(number));
        let created = first.post("/tasks", json!({"title": title})).await.expect(201);
        shared.insert(created.body["id"].as_str().unwrap().parse().unwrap(), 1);
    }
    let mut workers = Vec::new();
    for seat in 0..WORKERS_PER_PERSON {
        let mut person = first.clone();
        if seat > 0 {
            person.log_in().await;
        }
        let place = (number * WORKERS_PER_PERSON + seat) as u64;
        workers.push(Worker {
            name: format!("p{number}s{seat}"),
            records: Vec::new(),
            tag: tag(number),
            dice: StdRng::seed_from_u64(seed << 16 | 1 << 8 | place),
            gateways: gateways.clone(),
            person,
            recovery: recovery.clone(),
            own: BTreeMap::new(),
            shared: shared.clone(),
            latest: None,
            requests: 0,
            ended: Vec::new(),
            hang_ups: AtomicUsize::new(0),
        });
    }
    (number, id, workers)
}

impl Worker {
    /// Sends requests until `stop` is set, and then checks everything once more.
    pub(crate) async fn work(mut self, stop: Arc<AtomicBool>) -> Self {
        while !stop.load(Ordering::Relaxed) {
            match self.dice.random_range(0..100) {
                0..50 => self.command().await,
                50..60 => self.batch().await,
                60..70 => self.look_at_own().await,
                70..76 => self.look_at_shared().await,
                76..88 => self.look_at_list().await,
                88..94 => self.look_at_trash().await,
                94..96 => self.refresh().await,
                96..98 => self.leave_and_return().await,
                _ => self.look_at_self().await,
            }
        }
        self.look_at_list().await;
        self.look_at_trash().await;
        self.look_at_self().await;
        self
    }

    async fn command(&mut self) {
        let (command, state) = if self.dice.random_bool(0.3) {
            let task = *self.shared.keys().choose(&mut self.dice).unwrap();
            (self.operation_on(task, self.shared[&task]), None)
        } else {
            let command = self.own_command();
            let state = self.own.get(&command.task).cloned();
            (command, Some(state))
        };
        let key = self.next_key();
        let (method, path, body) = command.request();
        let mut headers = vec![("Idempotency-Key", key.clone())];
        if let Some(version) = command.if_match {
            headers.push(("If-Match", format!("\"{version}\"")));
        }
        let request = Request { method, path, body, headers };
        let (answer, period) = self.acknowledged(&request).await;
        let status = answer.status.as_u16();
        let sent = (key, period);
        match state {
            Some(state) => self.take_own(sent, &command, state.as_ref(), status, &answer.body),
            None => self.take_shared(sent, &command, status, &answer.body),
        }
    }

    async fn batch(&mut self) {
        let count = self.dice.random_range(2..=6);
        let commands: Vec<_> = (0..count).map(|_| self.own_command()).collect();
        let key = self.next_key();
        let list: Vec<_> = commands.iter().map(Command::in_batch).collect();
        let request = Request {
            method: Method::POST,
            path: "/tasks/batch".to_owned(),
            body: Some(json!({"commands": list})),
            headers: vec![("Idempotency-Key", key.clone())],
        };
        let (answer, period) = self.acknowledged(&request).await;
        let answer = answer.expect(200);
        let results = answer.body["results"].as_array().unwrap();
        assert_eq!(results.len(), commands.len(), "{}", answer.body);
        for (index, (command, result)) in commands.iter().zip(results).enumerate() {
            let status = result["status"].as_u64().unwrap() as u16;
            let state = self.own.get(&command.task).cloned();
            self.take_own(
                (format!("{key} {index}"), period),
                command,
                state.as_ref(),
                status,
                &result["task"],
            );
        }
    }

    /// Checks the answer to a command on a task of its own against the model.
    fn take_own(
        &mut self,
        sent: (String, Period),
        command: &Command,
        state: Option<&Task>,
        status: u16,
        body: &Value,
    ) {
        let expected = command.expected(state);
        let whole =
            format!("{}: {command:?} on {state:?} answers {status} {body}, not {expected:?}", self.name);
        let outcome = match expected {
            Expected::Refused(refusal) => {
                assert_eq!(status, refusal, "{whole}");
                Outcome::Refused
            }
            Expected::Accepted { status: wanted, task: mut after, events } => {
                assert_eq!(status, wanted, "{whole}");
                let task = task_in(body);
                if let Some(task) = &task {
                    assert!(alike(task, &after), "{whole}");
                    after = task.clone();
                }
                self.own.insert(after.id, after);
                Outcome::Done { task, events: Some(events) }
            }
        };
        self.record(sent, outcome);
    }

    fn take_shared(&mut self, sent: (String, Period), command: &Command, status: u16, body: &Value) {
        assert!(command.may_answer(status), "{}: {command:?} answers {status} {body}", self.name);
        let outcome = if status < 300 {
            let task = task_in(body);
            if let Some(task) = &task {
                assert!(command.is_met_by(task), "{}: {command:?} answers {body}", self.name);
                self.see_shared(task);
            }
            Outcome::Done { task, events: None }
        } else {
            Outcome::Refused
        };
        self.record(sent, outcome);
    }

    fn record(&mut self, (key, period): (String, Period), outcome: Outcome) {
        self.records.push(Record { key, request: self.requests, period, outcome });
    }

    fn next_key(&mut self) -> String {
        self.requests += 1;
        let key = format!("{}-{}", self.name, self.requests);
        if self.dice.random_bool(0.05) {
            // This is the longest key that is accepted.
            return format!("{key:~<255}");
        }
        key
    }
}

fn task_in(body: &Value) -> Option<Task> {
    serde_json::from_value(body.clone()).ok()
}
