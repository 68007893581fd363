//! Eight people work for a quarter of an hour, and nothing must become slower or larger.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use hdrhistogram::Histogram;
use http::Method;
use parking_lot::Mutex;
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    client::Person,
    load,
    output::{print, verdict},
    system::{Deployment, System},
};

#[derive(Debug, Args)]
pub(crate) struct Soak {
    /// How long
    #[arg(long, default_value_t = 15)]
    minutes: u32,
    /// Every role its own process over PostgreSQL and RabbitMQ, instead of one process on SQLite files
    #[arg(long)]
    servers: bool,
    /// Requests after which memory is looked at
    #[arg(long, default_value_t = 500_000)]
    requests: u64,
}

const PEOPLE: usize = 8;
const MINUTE: Duration = Duration::from_secs(60);
/// Interval at which new accounts register.
const SIGN_UP_INTERVAL: Duration = Duration::from_millis(500);
/// Maximum number of tasks of a person. Beyond that each creation is followed by a deletion.
const TASKS: usize = 200;
/// Refreshes of a session before another one is begun. A session ends after 4,096 events.
const MAX_REFRESHES: u64 = 4_000;
/// Maximum ratio of the latency in the last minute to that in the second.
const FLAT: f64 = 1.3;
/// Maximum memory of the process in MiB after the given number of requests.
const MEMORY: f64 = 150.0;

/// The kinds of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    Create,
    Change,
    Delete,
    List,
    Search,
    Refresh,
    BadInput,
    NewConnection,
    SignUp,
}

impl Act {
    const ALL: [Self; 9] = [
        Self::Create,
        Self::Change,
        Self::Delete,
        Self::List,
        Self::Search,
        Self::Refresh,
        Self::BadInput,
        Self::NewConnection,
        Self::SignUp,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Change => "change",
            Self::Delete => "delete",
            Self::List => "list",
            Self::Search => "search",
            Self::Refresh => "refresh",
            Self::BadInput => "bad input",
            Self::NewConnection => "new connection",
            Self::SignUp => "sign up",
        }
    }

    /// The kind of the nth request. It is the same mix for all people, each at another point of it.
    const fn nth(number: u64) -> Self {
        match number % 20 {
            0 | 4 | 8 | 12 | 16 => Self::Create,
            1 | 6 | 11 | 15 => Self::Change,
            3 | 13 => Self::Delete,
            2 | 7 | 10 | 17 => Self::List,
            5 | 14 => Self::Search,
            9 => Self::Refresh,
            18 => Self::BadInput,
            _ => Self::NewConnection,
        }
    }
}

/// The latencies of each kind of request in each minute.
#[derive(Default)]
struct Minutes(Mutex<BTreeMap<(Act, u32), Histogram<u64>>>);

impl Minutes {
    fn record(&self, act: Act, minute: u32, took: Duration) -> Result<()> {
        let mut minutes = self.0.lock();
        let histogram = match minutes.entry((act, minute)) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(new) => new.insert(Histogram::new(3)?),
        };
        Ok(histogram.record(u64::try_from(took.as_micros())?)?)
    }

    fn count(&self) -> u64 {
        let minutes = self.0.lock();
        minutes.values().map(Histogram::len).sum()
    }
}

impl Soak {
    pub(crate) async fn run(&self, binary: &Path) -> Result<()> {
        ensure!(self.minutes >= 3, "the second minute is compared with the last: at least 3");
        let deployment = if self.servers { Deployment::Servers } else { Deployment::Embedded };
        let system = System::start(deployment, binary).await?;
        let at_start = memory(&system)?;
        let people = load::join(&system.front(), PEOPLE).await?;
        let minutes = Arc::new(Minutes::default());
        let begin = Instant::now();
        let end = begin + MINUTE * self.minutes;
        let mut working = JoinSet::new();
        for (number, person) in (0..).zip(people) {
            working.spawn(work(person, number, minutes.clone(), begin, end));
        }
        working.spawn(sign_up(system.front(), minutes.clone(), begin, end));
        let mut then = None;
        while Instant::now() < end && working.len() > PEOPLE {
            tokio::select! {
                Some(ended) = working.join_next() => ended??,
                () = tokio::time::sleep(Duration::from_millis(500)) => {}
            }
            if then.is_none() && minutes.count() >= self.requests {
                then = Some(memory(&system)?);
            }
        }
        while let Some(ended) = working.join_next().await {
            ended??;
        }
        self.report(&minutes, at_start, then, memory(&system)?);
        system.stop().await
    }

    fn report(&self, minutes: &Minutes, at_start: f64, then: Option<f64>, at_end: f64) {
        let known = minutes.0.lock();
        for (title, quantile) in [("median", 0.5), ("p99", 0.99)] {
            let mut head = format!("{:<16}", format!("{title}, ms"));
            for minute in 1..=self.minutes {
                head += &format!("{minute:>8}");
            }
            print(&format!("{head}   last : second"));
            for act in Act::ALL {
                let at = |minute| {
                    known
                        .get(&(act, minute))
                        .map_or(f64::NAN, |histogram| histogram.value_at_quantile(quantile) as f64 / 1_000.0)
                };
                let mut row = format!("{:<16}", act.name());
                for minute in 0..self.minutes {
                    row += &format!("{:>8.2}", at(minute));
                }
                let growth = at(self.minutes - 1) / at(1);
                let verdict = verdict(growth <= FLAT);
                print(&format!("{row}   {growth:.2}{verdict}"));
            }
            print("");
        }
        let mut row = format!("{:<16}", "requests");
        let all = |minute| -> u64 {
            Act::ALL.iter().filter_map(|act| known.get(&(*act, minute))).map(Histogram::len).sum()
        };
        for minute in 0..self.minutes {
            row += &format!("{:>8}", all(minute));
        }
        print(&format!("{row}   {:.2}", all(self.minutes - 1) as f64 / all(1) as f64));
        let after = then.map_or_else(
            || format!("{} requests were not reached", self.requests),
            |mib| {
                let verdict = verdict(mib <= MEMORY);
                format!("{mib:.1} MiB after {} requests (at most {MEMORY}){verdict}", self.requests)
            },
        );
        print(&format!("memory: {at_start:.1} MiB after the start, {after}, {at_end:.1} MiB at the end"));
    }
}

/// The memory of all processes in MiB.
fn memory(system: &System) -> Result<f64> {
    Ok(system.memory()?.iter().map(|(_, mib)| mib).sum())
}

fn minute(begin: Instant) -> u32 {
    u32::try_from(begin.elapsed().as_secs() / MINUTE.as_secs()).unwrap_or(u32::MAX)
}

async fn work(
    person: Arc<Person>,
    number: u64,
    minutes: Arc<Minutes>,
    begin: Instant,
    end: Instant,
) -> Result<()> {
    let mut tasks = std::collections::VecDeque::new();
    let mut count = number * 7;
    let mut refreshes = 0;
    while Instant::now() < end {
        count += 1;
        let mut act = Act::nth(count);
        if tasks.len() > TASKS && act == Act::Create {
            act = Act::Delete;
        }
        if refreshes == MAX_REFRESHES {
            person.begin_session().await?;
            refreshes = 0;
        }
        let (minute, started) = (minute(begin), Instant::now());
        match act {
            Act::Create => {
                let body = json!({
                    "title": format!("Buy {count} apples"),
                    "description": "From the market, if it does not rain, and a few pears as well.",
                    "tags": ["food", "market"],
                    "due": "2030-01-01",
                });
                let answer = person.send(Method::POST, "/tasks", Some(&body), &[]).await?;
                tasks.push_back(answer.member("/id")?);
            }
            Act::Change => {
                if let Some(task) = tasks.back() {
                    let change = json!({"title": format!("Buy {count} pears"), "priority": "high"});
                    person.send(Method::PATCH, &format!("/tasks/{task}"), Some(&change), &[]).await?;
                }
            }
            Act::Delete => {
                if let Some(task) = tasks.pop_front() {
                    person.send(Method::DELETE, &format!("/tasks/{task}"), None, &[]).await?;
                }
            }
            Act::List => {
                let path = "/tasks?status=open&sort=-created_at&limit=20";
                person.send(Method::GET, path, None, &[]).await?;
            }
            Act::Search => {
                let path = format!("/tasks?q=pear%20{}&limit=20", count % 100);
                person.send(Method::GET, &path, None, &[]).await?;
            }
            Act::Refresh => {
                person.refresh().await?;
                refreshes += 1;
            }
            Act::BadInput => {
                let body = json!({"title": "", "priority": "enormous", "colour": "red"});
                let answer = person.ask(Method::POST, "/tasks", Some(&body), &[]).await?;
                ensure!(answer.status == 422, "bad input is answered {}", answer.status);
            }
            Act::NewConnection | Act::SignUp => {
                person.reconnect().await?;
                person.send(Method::GET, "/tasks?limit=1", None, &[]).await?;
            }
        }
        minutes.record(act, minute, started.elapsed())?;
    }
    Ok(())
}

/// Registers a new account every half second.
async fn sign_up(address: String, minutes: Arc<Minutes>, begin: Instant, end: Instant) -> Result<()> {
    let mut ticks = tokio::time::interval(SIGN_UP_INTERVAL);
    while Instant::now() < end {
        ticks.tick().await;
        let (minute, started) = (minute(begin), Instant::now());
        Person::join(&address).await.context("a stranger cannot sign up")?;
        minutes.record(Act::SignUp, minute, started.elapsed())?;
    }
    Ok(())
}
