//! Users at work: each person twice at once, through every gateway, with a record of what was acknowledged.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use api_types::Task;
use events::{ConsistencyToken, Status, TaskId, UserId};
use rand::{
    RngExt as _, SeedableRng as _,
    rngs::StdRng,
    seq::{IndexedRandom as _, IteratorRandom as _},
};
use reqwest::Method;
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;

use crate::{
    command::{Command, Expected, Operation, alike},
    harness::Harness,
    support::{Answer, Person},
};

pub(crate) const PEOPLE: usize = 5;
/// Number of concurrent workers of each person.
const WORKERS_PER_PERSON: usize = 2;
/// Number of tasks that all workers of a person share.
const SHARED: usize = 2;
/// Maximum number of tasks of a person, which must fit on a page.
const MOST_TASKS: usize = 40;
/// Time after which a client stops waiting for an answer and sends the request again.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Time within which the system has to recover from any fault. No time-out is longer than 15 seconds, and several of
/// them can follow each other where faults overlap.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(40);
/// On average one of this many requests is abandoned before its answer can have come.
const HANG_UP_EVERY: u32 = 25;
/// On average one of this many requests has the longest headers that are accepted.
const LONG_HEADERS_EVERY: u32 = 40;

/// What was acknowledged about one command.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) key: String,
    /// The number of the request. Commands of one request share it, and later requests have a higher one.
    pub(crate) request: usize,
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
        let gateways = gateways.clone();
        joining.spawn(async move { join(seed, number, gateways).await });
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

async fn join(seed: u64, number: usize, gateways: Vec<String>) -> (usize, UserId, Vec<Worker>) {
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
        let request = Request {
            method,
            path,
            body,
            headers,
        };
        let answer = self.acknowledged(&request).await;
        let status = answer.status.as_u16();
        match state {
            Some(state) => self.take_own(key, &command, state.as_ref(), status, &answer.body),
            None => self.take_shared(key, &command, status, &answer.body),
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
        let answer = self.acknowledged(&request).await.expect(200);
        let results = answer.body["results"].as_array().unwrap();
        assert_eq!(results.len(), commands.len(), "{}", answer.body);
        for (index, (command, result)) in commands.iter().zip(results).enumerate() {
            let status = result["status"].as_u64().unwrap() as u16;
            let state = self.own.get(&command.task).cloned();
            self.take_own(
                format!("{key} {index}"),
                command,
                state.as_ref(),
                status,
                &result["task"],
            );
        }
    }

    /// Checks the answer to a command on a task of its own against the model.
    fn take_own(&mut self, key: String, command: &Command, state: Option<&Task>, status: u16, body: &Value) {
        let expected = command.expected(state);
        let whole = format!(
            "{}: {command:?} on {state:?} answers {status} {body}, not {expected:?}",
            self.name
        );
        let outcome = match expected {
            Expected::Refused(refusal) => {
                assert_eq!(status, refusal, "{whole}");
                Outcome::Refused
            }
            Expected::Accepted {
                status: wanted,
                task: mut after,
                events,
            } => {
                assert_eq!(status, wanted, "{whole}");
                let task = task_in(body);
                if let Some(task) = &task {
                    assert!(alike(task, &after), "{whole}");
                    after = task.clone();
                }
                self.own.insert(after.id, after);
                Outcome::Done {
                    task,
                    events: Some(events),
                }
            }
        };
        self.record(key, outcome);
    }

    fn take_shared(&mut self, key: String, command: &Command, status: u16, body: &Value) {
        assert!(
            command.may_answer(status),
            "{}: {command:?} answers {status} {body}",
            self.name
        );
        let outcome = if status < 300 {
            let task = task_in(body);
            if let Some(task) = &task {
                assert!(
                    command.is_met_by(task),
                    "{}: {command:?} answers {body}",
                    self.name
                );
                self.see_shared(task);
            }
            Outcome::Done { task, events: None }
        } else {
            Outcome::Refused
        };
        self.record(key, outcome);
    }

    fn record(&mut self, key: String, outcome: Outcome) {
        self.records.push(Record {
            key,
            request: self.requests,
            outcome,
        });
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

    /// A command on a task of its own, or for a new one.
    fn own_command(&mut self) -> Command {
        let room = self.own.len() < MOST_TASKS;
        match self.own.keys().choose(&mut self.dice) {
            Some(task) if !(room && self.dice.random_bool(0.2)) => {
                let task = *task;
                self.operation_on(task, self.own[&task].version)
            }
            _ => {
                let mut fields = self.fields();
                fields.remove("status");
                let title = self.title();
                fields.insert("title".to_owned(), json!(title));
                Command::create(fields)
            }
        }
    }

    fn operation_on(&mut self, task: TaskId, version: u64) -> Command {
        let operation = match self.dice.random_range(0..20) {
            0..8 => Operation::Change(self.fields()),
            8..16 => Operation::Move(self.status()),
            16..18 => Operation::Delete,
            _ => Operation::Restore,
        };
        let if_match = self
            .dice
            .random_bool(0.3)
            .then(|| version - u64::from(version > 1 && self.dice.random_bool(0.2)));
        Command {
            task,
            operation,
            if_match,
        }
    }

    /// Random fields of a task, which often have their old values.
    fn fields(&mut self) -> Map<String, Value> {
        if self.dice.random_bool(0.02) {
            return self.longest_fields();
        }
        let values = [
            ("title", json!(self.title())),
            (
                "description",
                self.one_of(&[json!(null), json!("more"), json!("Ünï ✓")]),
            ),
            (
                "priority",
                self.one_of(&["low", "normal", "high", "urgent"].map(|name| json!(name))),
            ),
            (
                "due",
                self.one_of(&[json!(null), json!("2026-12-01"), json!("2031-01-01T09:00:00Z")]),
            ),
            (
                "tags",
                self.one_of(&[json!(null), json!(["a"]), json!(["b", "a"])]),
            ),
            ("status", json!(self.status())),
        ];
        let count = self.dice.random_range(1..=3);
        values
            .into_iter()
            .sample(&mut self.dice, count)
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            // If one part is refused, nothing happens, which should not be frequent.
            .filter(|(name, _)| name != "status" || self.dice.random_bool(0.3))
            .collect()
    }

    /// The longest values that the contract accepts.
    fn longest_fields(&mut self) -> Map<String, Value> {
        let title = self.title();
        let tags: Vec<String> = (0..20).map(|number| format!("{number:𝄞>50}")).collect();
        [
            ("title", json!(format!("{title:𝄞<200}"))),
            ("description", json!("𝄞".repeat(10_000))),
            ("tags", json!(tags)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect()
    }

    fn title(&mut self) -> String {
        format!("{} {}", self.tag, self.dice.random_range(0..1_000))
    }

    fn status(&mut self) -> Status {
        let all = [Status::Open, Status::InProgress, Status::Done, Status::Cancelled];
        *all.choose(&mut self.dice).unwrap()
    }

    fn one_of(&mut self, values: &[Value]) -> Value {
        values.choose(&mut self.dice).unwrap().clone()
    }

    async fn look_at_own(&mut self) {
        let Some((id, task)) = self.own.iter().choose(&mut self.dice) else {
            return;
        };
        let (id, task) = (*id, task.clone());
        let answer = self.ask(&format!("/tasks/{id}")).await;
        if task.deleted_at.is_some() {
            answer.expect(404);
        } else {
            let answer = answer.expect(200);
            assert_eq!(
                task_in(&answer.body),
                Some(task),
                "{} does not see its own write",
                self.name
            );
        }
    }

    async fn look_at_shared(&mut self) {
        let id = *self.shared.keys().choose(&mut self.dice).unwrap();
        let answer = self.ask(&format!("/tasks/{id}")).await;
        if answer.status != 404 {
            let answer = answer.expect(200);
            self.see_shared(&task_in(&answer.body).unwrap());
        }
    }

    async fn look_at_list(&mut self) {
        self.look_at_page("/tasks?limit=100", |task| task.deleted_at.is_none())
            .await;
    }

    async fn look_at_trash(&mut self) {
        self.look_at_page("/tasks?deleted=true&limit=100", |task| task.deleted_at.is_some())
            .await;
    }

    /// Checks that a page shows exactly those tasks of its own that belong there, as they were acknowledged.
    async fn look_at_page(&mut self, path: &str, belongs: fn(&Task) -> bool) {
        let page = self.ask(path).await.expect(200);
        assert!(page.body["next_cursor"].is_null(), "all tasks fit on a page");
        let mut shown = BTreeMap::new();
        for item in page.body["items"].as_array().unwrap() {
            let task = task_in(item).unwrap();
            assert!(task.title.starts_with(&self.tag), "{} sees {item}", self.name);
            self.see_shared(&task);
            if self.own.contains_key(&task.id) {
                assert!(shown.insert(task.id, task).is_none(), "shown twice");
            }
        }
        let mut known = self.own.clone();
        known.retain(|_, task| belongs(task));
        // A deletion is answered without the task, so its instants are unknown.
        for (id, task) in &mut known {
            if task.deleted_at.is_some()
                && let Some(shown) = shown.get(id)
            {
                assert!(alike(shown, task), "{} sees {shown:?}, not {task:?}", self.name);
                *task = shown.clone();
                self.own.insert(*id, shown.clone());
            }
        }
        assert_eq!(
            shown, known,
            "what {} sees is not what was acknowledged",
            self.name
        );
    }

    fn see_shared(&mut self, task: &Task) {
        if let Some(seen) = self.shared.get_mut(&task.id) {
            assert!(
                task.version >= *seen,
                "{} sees {task:?} after version {seen}",
                self.name
            );
            *seen = task.version;
        }
    }

    async fn look_at_self(&mut self) {
        let me = self.ask("/auth/me").await.expect(200);
        assert_eq!(me.body["user"]["email"], self.person.email, "another's identity");
    }

    async fn refresh(&mut self) {
        let request = Request {
            method: Method::POST,
            path: "/auth/refresh".to_owned(),
            body: Some(json!({"refresh_token": self.person.refresh_token})),
            headers: Vec::new(),
        };
        let (answer, attempts) = self.answered(&request).await;
        if attempts > 1 {
            // An earlier attempt may have used the token, or may still do so, which ends the session.
            return self.log_in().await;
        }
        self.take_tokens(&answer.expect(200));
    }

    async fn leave_and_return(&mut self) {
        let request = Request {
            method: Method::POST,
            path: "/auth/logout".to_owned(),
            body: None,
            headers: Vec::new(),
        };
        let (answer, attempts) = self.answered(&request).await;
        // A second attempt may find the session ended.
        assert!(
            answer.status == 204 || answer.status == 401 && attempts > 1,
            "{answer:?}"
        );
        self.ended.push(self.person.token.clone());
        self.log_in().await;
    }

    async fn log_in(&mut self) {
        let request = Request {
            method: Method::POST,
            path: "/auth/login".to_owned(),
            body: Some(json!({"email": self.person.email, "password": crate::support::PASSWORD})),
            headers: Vec::new(),
        };
        let (answer, _) = self.answered(&request).await;
        self.take_tokens(&answer.expect(200));
    }

    fn take_tokens(&mut self, answer: &Answer) {
        let text = |name: &str| answer.body[name].as_str().unwrap().to_owned();
        self.person.token = text("access_token");
        self.person.refresh_token = text("refresh_token");
    }

    /// Sends a query that must show everything that was acknowledged or shown before.
    async fn ask(&mut self, path: &str) -> Answer {
        let mut headers = vec![("Prefer", "wait=2".to_owned())];
        headers.extend(self.latest.map(|token| ("Consistency-Token", token.to_string())));
        let request = Request {
            method: Method::GET,
            path: path.to_owned(),
            body: None,
            headers,
        };
        let (answer, _) = self.answered(&request).await;
        self.note(&answer);
        answer
    }

    /// The answer to a command with a key. Sometimes the command is sent twice at once, which must make no
    /// difference.
    async fn acknowledged(&mut self, request: &Request) -> Answer {
        let (first, second) = (self.dice.random(), self.dice.random());
        let answer = if self.dice.random_bool(0.1) {
            let ((one, _), (other, _)) = tokio::join!(self.send(request, first), self.send(request, second));
            assert_eq!(one.status, other.status, "{one:?} {other:?}");
            if one.status.is_success() {
                assert_eq!(one.body, other.body, "one key, two answers");
            }
            one
        } else {
            self.send(request, first).await.0
        };
        self.note(&answer);
        answer
    }

    fn note(&mut self, answer: &Answer) {
        if let Ok(token) = answer.header("Consistency-Token").parse::<ConsistencyToken>()
            && self.latest.is_none_or(|latest| latest.position < token.position)
        {
            self.latest = Some(token);
        }
    }

    async fn answered(&mut self, request: &Request) -> (Answer, usize) {
        let first = self.dice.random();
        self.send(request, first).await
    }

    /// Sends a request to the gateways in turn until it is answered. Returns how often it was sent.
    async fn send(&self, request: &Request, first: u32) -> (Answer, usize) {
        let deadline = Instant::now() + RECOVERY_TIMEOUT;
        for attempt in 1.. {
            let gateway = &self.gateways[(first as usize + attempt) % self.gateways.len()];
            let hang_up = (attempt == 1 && first.is_multiple_of(HANG_UP_EVERY))
                .then(|| Duration::from_micros(u64::from(first / HANG_UP_EVERY % 20_000)));
            let long_headers = first % LONG_HEADERS_EVERY == 1;
            let outcome = self.try_send(gateway, request, hang_up, long_headers).await;
            if hang_up.is_some() && outcome.is_err() {
                self.hang_ups.fetch_add(1, Ordering::Relaxed);
            }
            match outcome {
                Ok(answer) if !is_open(&answer) => {
                    let status = answer.status.as_u16();
                    assert!(status < 500, "{} {}: {answer:?}", request.method, request.path);
                    return (answer, attempt);
                }
                outcome => assert!(
                    Instant::now() < deadline,
                    "{}: {} {} does not recover: {outcome:?}",
                    self.name,
                    request.method,
                    request.path
                ),
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        unreachable!("the deadline ends it")
    }

    async fn try_send(
        &self,
        gateway: &str,
        request: &Request,
        hang_up: Option<Duration>,
        long_headers: bool,
    ) -> Result<Answer, reqwest::Error> {
        let url = format!("{gateway}{}", request.path);
        let mut sending = self
            .person
            .http
            .request(request.method.clone(), url)
            .timeout(hang_up.unwrap_or(TIMEOUT));
        if long_headers {
            let tail = "\"".repeat(8_000);
            sending = sending
                .header(
                    "traceparent",
                    format!("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-{tail}"),
                )
                .header("X-Request-Id", "r".repeat(128));
        }
        sending = sending.bearer_auth(&self.person.token);
        if let Some(body) = &request.body {
            sending = sending.json(body);
        }
        for (name, value) in &request.headers {
            sending = sending.header(*name, value);
        }
        Answer::read(sending.send().await?).await
    }
}

/// Returns whether the request should be repeated: a dependency is down for the request or for a part of the batch.
fn is_open(answer: &Answer) -> bool {
    let results = answer.body["results"].as_array().into_iter().flatten();
    answer.status == 503 || results.into_iter().any(|result| result["status"] == 503)
}

fn task_in(body: &Value) -> Option<Task> {
    serde_json::from_value(body.clone()).ok()
}
