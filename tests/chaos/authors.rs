//! Users who write while the log loses its tail. They record what was acknowledged and when, so that it can be
//! checked which commands must be in the log.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use api_types::Task;
use events::{ConsistencyToken, RecordedEvent, StreamName};
use rand::{
    RngExt as _,
    rngs::StdRng,
    seq::{IndexedRandom as _, IteratorRandom as _},
};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    checks::fold,
    order::{Period, positions_follow_the_acknowledgements},
    recovery::Recovery,
    support::{Answer, Person},
};

/// Number of tasks of an author. They are few, so that each has some of the lost events.
const TASKS: usize = 4;
const TIMEOUT: Duration = Duration::from_secs(3);

/// A command that was acknowledged.
pub(crate) struct Acknowledged {
    key: String,
    pub(crate) period: Period,
    /// The position in the log, from the answer's consistency token.
    position: u64,
    task: Task,
}

/// A user with their own record of what was acknowledged.
pub(crate) struct Author {
    person: Person,
    /// Where commands are sent: the gateways, and the command APIs behind them. A gateway sends the commands of one
    /// person to one of these, and two of them must not disagree about a task either.
    fronts: Vec<String>,
    recovery: Recovery,
    dice: StdRng,
    tasks: BTreeMap<String, u64>,
    pub(crate) acknowledged: Vec<Acknowledged>,
}

/// The loss of the log's tail.
pub(crate) struct Loss {
    /// The time of the loss.
    pub(crate) at: Instant,
    /// The position at which the log ended afterwards, with load before and after.
    pub(crate) cut: u64,
    /// Number of lost events.
    pub(crate) events: u64,
}

impl Author {
    pub(crate) fn new(person: Person, fronts: Vec<String>, recovery: Recovery, dice: StdRng) -> Self {
        Self { person, fronts, recovery, dice, tasks: BTreeMap::new(), acknowledged: Vec::new() }
    }

    /// Sends commands until one was acknowledged that was sent after `stop` was set.
    pub(crate) async fn work(mut self, stop: Arc<AtomicBool>) -> Self {
        for number in 0_usize.. {
            let is_last = stop.load(Ordering::Relaxed);
            let text = format!("{} {number}", self.person.email);
            let known = self.tasks.keys().choose(&mut self.dice).cloned();
            let (method, path, body) = match known.filter(|_| self.tasks.len() == TASKS) {
                Some(task) => (Method::PATCH, format!("/tasks/{task}"), self.change(&text, number)),
                None => (Method::POST, "/tasks".to_owned(), json!({"title": text})),
            };
            let key = Uuid::new_v4().to_string();
            let sent = Instant::now();
            let answer = self.answered(method, &path, body, &key).await;
            match answer.status.as_u16() {
                200 | 201 => {
                    let answered = Instant::now();
                    self.acknowledge(key, Period { sent, answered }, &answer);
                    if is_last {
                        break;
                    }
                }
                // The task was lost.
                404 => drop(self.tasks.remove(path.trim_start_matches("/tasks/"))),
                _ => panic!("{path} answers {answer:?}"),
            }
        }
        self
    }

    /// A change of one field, so that an answer shows on which state of the others it was decided.
    fn change(&mut self, text: &str, number: usize) -> Value {
        match self.dice.random_range(0..3) {
            0 => json!({ "title": text }),
            1 => json!({ "description": text }),
            _ => json!({"tags": [number.to_string()]}),
        }
    }

    fn acknowledge(&mut self, key: String, period: Period, answer: &Answer) {
        let task: Task = serde_json::from_value(answer.body.clone()).unwrap();
        let token: ConsistencyToken = answer.header("Consistency-Token").parse().unwrap();
        self.tasks.insert(task.id.to_string(), task.version);
        self.acknowledged.push(Acknowledged { key, period, position: token.position, task });
    }

    /// Sends a command with its key until it is answered.
    async fn answered(&mut self, method: Method, path: &str, body: Value, key: &str) -> Answer {
        let what = || format!("{method} {path}");
        let wait = self.recovery.wait();
        loop {
            let headers = [("Idempotency-Key", key)];
            self.person.base = self.fronts.choose(&mut self.dice).unwrap().clone();
            let sending = self.person.try_send(method.clone(), path, Some(body.clone()), &headers);
            match tokio::time::timeout(TIMEOUT, sending).await {
                Ok(Ok(answer)) if answer.status != 503 => {
                    wait.ends(what);
                    return answer;
                }
                outcome => wait.goes_on(|| format!("{} does not recover: {outcome:?}", what())),
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// Checks that reads are answered, even when their token is of a lost state.
    pub(crate) async fn reads_are_answered(&self) {
        let reader = Person { base: self.fronts[0].clone(), ..self.person.clone() };
        self.recovery
            .until("reads are answered", async || {
                let reading = reader.try_send(Method::GET, "/tasks?limit=1", None, &[]);
                matches!(tokio::time::timeout(TIMEOUT, reading).await, Ok(Ok(answer)) if answer.status == 200)
            })
            .await;
    }
}

/// Checks that every command is in the log that was acknowledged to a request sent after the loss or that was before
/// the cut, that none is there twice, and that those that are there are in order.
pub(crate) fn what_counts_is_there(log: &[&RecordedEvent], authors: &[Author], loss: &Loss) {
    let mut streams: BTreeMap<&StreamName, Vec<&RecordedEvent>> = BTreeMap::new();
    let mut by_key: BTreeMap<&str, usize> = BTreeMap::new();
    for event in log.iter().copied() {
        streams.entry(&event.stream).or_default().push(event);
        if let Some(key) = &event.metadata.idempotency_key {
            *by_key.entry(key).or_default() += 1;
        }
    }
    let counts = |done: &Acknowledged| done.period.sent > loss.at || done.position <= loss.cut;
    for done in authors.iter().flat_map(|author| &author.acknowledged) {
        let times = by_key.get(done.key.as_str()).copied().unwrap_or_default();
        assert!(times <= 1, "done {times} times: {}", done.key);
        if !counts(done) {
            continue;
        }
        assert_eq!(times, 1, "acknowledged, but lost: {} {:?}", done.key, done.task);
        let stream = streams.get(&StreamName::task(done.task.id));
        assert_eq!(
            stream.and_then(|stream| fold(stream, done.task.version)).as_ref(),
            Some(&done.task),
            "acknowledged, but not what the log says: {}",
            done.key
        );
    }
    let acknowledged = authors.iter().flat_map(|author| &author.acknowledged);
    let counting = acknowledged.filter(|done| counts(done));
    let periods = counting.map(|done| (done.key.as_str(), done.period));
    positions_follow_the_acknowledgements(log, periods);
}
