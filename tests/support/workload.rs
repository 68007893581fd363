//! Many concurrent users, each with a record of what was acknowledged.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value, json};
use test_support::until;
use tokio::{sync::Semaphore, task::JoinSet};

use super::{Answer, Person};

/// Users that work until they are told to stop.
pub(crate) struct Workload {
    workers: JoinSet<Worker>,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
}

/// One user's record of what the system has acknowledged.
struct Worker {
    person: Person,
    /// Title and version of each task, by its id.
    tasks: BTreeMap<String, (String, u64)>,
    commands: usize,
}

/// Number of people who register at once. On a slow machine the last of many would wait longer than a password may
/// wait to be hashed.
const JOINING: usize = 8;

impl Workload {
    /// Starts `people` users.
    pub(crate) async fn start(base: &str, people: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let mut joining = JoinSet::new();
        let turns = Arc::new(Semaphore::new(JOINING));
        for number in 0..people {
            let (base, turns) = (base.to_owned(), turns.clone());
            joining.spawn(async move {
                let _turn = turns.acquire().await.unwrap();
                Person::join(&base, &format!("person{number}")).await
            });
        }
        let mut workers = JoinSet::new();
        for person in joining.join_all().await {
            let worker = Worker { person, tasks: BTreeMap::new(), commands: 0 };
            workers.spawn(worker.work(stop.clone(), acknowledged.clone()));
        }
        Self { workers, stop, acknowledged }
    }

    /// Waits until `count` more commands have been acknowledged, for two minutes and a fifth of a second for each.
    pub(crate) async fn progress(&self, count: usize) {
        let target = self.acknowledged.load(Ordering::Relaxed) + count;
        let limit = Duration::from_secs(120) + Duration::from_millis(200) * u32::try_from(count).unwrap();
        until("more commands acknowledged", limit, async || {
            self.acknowledged.load(Ordering::Relaxed) >= target
        })
        .await;
    }

    /// Stops all users and compares what the system shows with what it has acknowledged. Returns the number of
    /// commands.
    pub(crate) async fn finish(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let mut commands = 0;
        for worker in self.workers.join_all().await {
            worker.check_everything().await;
            commands += worker.commands;
        }
        commands
    }
}

impl Worker {
    async fn work(mut self, stop: Arc<AtomicBool>, acknowledged: Arc<AtomicUsize>) -> Self {
        while !stop.load(Ordering::Relaxed) {
            let title = format!("{} number {}", self.person.email, self.tasks.len());
            let created = self.command(Method::POST, "/tasks", json!({"title": title})).await.expect(201);
            let id = self.record(&created.body);
            self.see(&id).await;

            let renamed = format!("{title}, renamed");
            let path = format!("/tasks/{id}");
            let answer = self.command(Method::PATCH, &path, json!({"title": renamed})).await.expect(200);
            self.record(&answer.body);
            let answer = self.command(Method::POST, &format!("{path}/complete"), json!({})).await.expect(200);
            self.record(&answer.body);
            self.see(&id).await;
            acknowledged.fetch_add(3, Ordering::Relaxed);

            let me = self.ask("/auth/me").await;
            assert_eq!(me.body["user"]["email"], self.person.email, "another's identity");
        }
        self
    }

    /// Repeats a command until it is acknowledged. With its key it takes effect once.
    async fn command(&mut self, method: Method, path: &str, body: Value) -> Answer {
        let key = uuid::Uuid::new_v4().to_string();
        self.commands += 1;
        self.persist(method, path, Some(body), &[("Idempotency-Key", &key)]).await
    }

    async fn ask(&self, path: &str) -> Answer {
        self.persist(Method::GET, path, None, &[]).await.expect(200)
    }

    /// Repeats the request while a dependency is down, and fails on any other error.
    async fn persist(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let deadline = Instant::now() + Duration::from_secs(90);
        loop {
            let result = self.person.try_send(method.clone(), path, body.clone(), headers).await;
            match result {
                Ok(answer) if answer.status != 503 => return answer,
                outcome => {
                    assert!(Instant::now() < deadline, "{method} {path} does not recover: {outcome:?}")
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn record(&mut self, task: &Value) -> String {
        let id = task["id"].as_str().unwrap().to_owned();
        let version = task["version"].as_u64().unwrap();
        let title = task["title"].as_str().unwrap().to_owned();
        let before = self.tasks.insert(id.clone(), (title, version));
        assert_eq!(
            version,
            before.map_or(1, |(_, version)| version + 1),
            "a command was applied twice or lost"
        );
        id
    }

    /// Checks that the next read shows what was just acknowledged, and no tasks of others.
    async fn see(&self, id: &str) {
        let page = self.ask("/tasks?sort=-updated_at&limit=5").await;
        let items = page.body["items"].as_array().unwrap();
        for item in items {
            let known = &self.tasks[item["id"].as_str().unwrap()];
            assert_eq!(
                (item["title"].as_str().unwrap(), item["version"].as_u64().unwrap()),
                (known.0.as_str(), known.1)
            );
        }
        assert!(items.iter().any(|item| item["id"] == id), "{id} was acknowledged but is not shown");
    }

    async fn check_everything(&self) {
        let mut shown = BTreeMap::new();
        let mut path = "/tasks?limit=100".to_owned();
        loop {
            let page = self.ask(&path).await;
            for item in page.body["items"].as_array().unwrap() {
                let task = (item["title"].as_str().unwrap().to_owned(), item["version"].as_u64().unwrap());
                assert!(shown.insert(item["id"].as_str().unwrap().to_owned(), task).is_none(), "shown twice");
            }
            match page.body["next_cursor"].as_str() {
                Some(cursor) => path = format!("/tasks?limit=100&cursor={cursor}"),
                None => break,
            }
        }
        assert_eq!(shown, self.tasks, "what {} sees is not what was acknowledged", self.person.email);
    }
}
