//! The kinds of load, each with a number of connections for a duration.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use http::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::client::{Answer, Person};

/// The latencies and number of requests.
pub(crate) struct Figure {
    latencies: Histogram<u64>,
    elapsed: Duration,
}

impl Figure {
    /// Requests per second.
    pub(crate) fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// Median latency in milliseconds.
    pub(crate) fn median(&self) -> f64 {
        self.latencies.value_at_quantile(0.5) as f64 / 1_000.0
    }

    /// 99th percentile of the latency in milliseconds.
    pub(crate) fn p99(&self) -> f64 {
        self.latencies.value_at_quantile(0.99) as f64 / 1_000.0
    }

    pub(crate) fn row(&self, name: &str) -> String {
        let rate = self.rate();
        let at = |quantile| self.latencies.value_at_quantile(quantile) as f64 / 1_000.0;
        format!(
            "{name:<34} {rate:>10.0} {:>10.2} {:>10.2} {:>10.2} {:>10.2}",
            at(0.5),
            at(0.95),
            at(0.99),
            self.latencies.max() as f64 / 1_000.0
        )
    }
}

/// Registers `count` people, each on a connection of their own.
pub(crate) async fn join(address: &str, count: usize) -> anyhow::Result<Vec<Arc<Person>>> {
    let mut people = Vec::new();
    for _ in 0..count {
        people.push(Arc::new(Person::join(address).await?));
    }
    Ok(people)
}

/// The same people, each on a connection to another role.
pub(crate) async fn at(people: &[Arc<Person>], address: &str) -> anyhow::Result<Vec<Arc<Person>>> {
    let mut moved = Vec::new();
    for person in people {
        moved.push(Arc::new(person.at(address).await?));
    }
    Ok(moved)
}

/// The page that [`Kind::Lists`] reads.
const LIST: &str = "/tasks?status=in_progress&sort=due&limit=50";
/// With this header the gateway does not answer from its cache.
pub(crate) const NOT_CACHED: (&str, &str) = ("Cache-Control", "no-cache");

/// Gives each person `count` tasks in progress, and checks that their list has these tasks, or 50 of them.
pub(crate) async fn give_tasks(people: &[Arc<Person>], count: usize) -> anyhow::Result<()> {
    for person in people {
        for number in 0..count {
            let task = json!({"title": format!("Task {number}"), "due": "2030-01-01"});
            let answer = person.send(Method::POST, "/tasks", Some(&task), &[]).await?;
            let path = format!("/tasks/{}", answer.member("/id")?);
            let change = json!({"status": "in_progress"});
            person.send(Method::PATCH, &path, Some(&change), &[]).await?;
        }
        // After a load of commands the projection may be seconds behind.
        let headers = [NOT_CACHED, ("Prefer", "wait=10")];
        let list = person.send(Method::GET, LIST, None, &headers).await?;
        let length = items(&list)?;
        ensure!(length >= count.min(50), "a list has only {length} tasks");
    }
    Ok(())
}

/// Number of tasks of a page.
pub(crate) fn items(page: &Answer) -> anyhow::Result<usize> {
    let page: Value = serde_json::from_slice(&page.body)?;
    Ok(page["items"].as_array().context("no page")?.len())
}

/// The requests that each person sends repeatedly.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// Creations and changes, in equal numbers.
    Commands,
    /// The first page of a person's tasks in progress, by due date, which the gateway must not take from its cache.
    Lists,
    /// The same page, from the gateway's cache if it is there.
    CachedLists,
    /// Further logins of each person.
    Logins,
    /// Creations with a pause between them. The latency is the time from the answer to the answer of a read that
    /// shows the task.
    Visible {
        /// Time between two creations of a person.
        pause: Duration,
    },
}

impl Kind {
    async fn once(self, person: &Person, latencies: &mut Histogram<u64>) -> anyhow::Result<()> {
        match self {
            Self::Commands => {
                let started = Instant::now();
                let body = json!({"title": "Measure twice", "priority": "high", "due": "2030-01-01", "tags": ["bench"]});
                let answer = person.send(Method::POST, "/tasks", Some(&body), &[]).await?;
                latencies.record(micros(started))?;
                let path = format!("/tasks/{}", answer.member("/id")?);
                let started = Instant::now();
                person.send(Method::PATCH, &path, Some(&json!({"status": "in_progress"})), &[]).await?;
                latencies.record(micros(started))?;
            }
            Self::Lists | Self::CachedLists => {
                let headers: &[_] = match self {
                    Self::CachedLists => &[],
                    _ => &[NOT_CACHED],
                };
                let started = Instant::now();
                person.send(Method::GET, LIST, None, headers).await?;
                latencies.record(micros(started))?;
            }
            Self::Logins => {
                let started = Instant::now();
                person.log_in().await?;
                latencies.record(micros(started))?;
            }
            Self::Visible { pause } => {
                let begun = Instant::now();
                let acknowledged = create_and_see(person, person).await?;
                latencies.record(micros(acknowledged))?;
                tokio::time::sleep(pause.saturating_sub(begun.elapsed())).await;
            }
        }
        Ok(())
    }
}

/// Creates a task and reads until it is shown, on another connection of the same person if wanted. Returns the time at
/// which the creation was acknowledged.
pub(crate) async fn create_and_see(writer: &Person, reader: &Person) -> anyhow::Result<Instant> {
    let task = json!({"title": "Be seen"});
    let answer = writer.send(Method::POST, "/tasks", Some(&task), &[]).await?;
    let acknowledged = Instant::now();
    let token = answer.headers.get("consistency-token").context("no token")?.to_str()?;
    let headers = [("Consistency-Token", token), ("Prefer", "wait=10")];
    reader.send(Method::GET, "/tasks?limit=1", None, &headers).await?;
    Ok(acknowledged)
}

/// Lets all `people` send requests of this kind for `duration`.
pub(crate) async fn run(people: &[Arc<Person>], duration: Duration, kind: Kind) -> anyhow::Result<Figure> {
    let started = Instant::now();
    let mut workers = JoinSet::new();
    for person in people {
        let person = person.clone();
        workers.spawn(async move {
            let mut latencies = Histogram::new(3)?;
            while started.elapsed() < duration {
                kind.once(&person, &mut latencies).await?;
            }
            anyhow::Ok(latencies)
        });
    }
    let mut latencies = Histogram::new(3)?;
    while let Some(worker) = workers.join_next().await {
        latencies.add(worker??)?;
    }
    Ok(Figure { latencies, elapsed: started.elapsed() })
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}
