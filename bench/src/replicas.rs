//! Measures two command APIs with caches of task states: through the gateway, which sends the commands of one caller
//! to one of them, directly to them in the same way, and directly to both in turn, where each change first meets a
//! conflict. Creations and changes are mixed, and no task is shared, so that no command has a reason to fail.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::ensure;
use clap::Args;
use hdrhistogram::Histogram;
use http::{Method, StatusCode};
use kurrentdb_stand_in::StandIn;
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    client::Person,
    load, print,
    system::{Deployment, Plan, System},
};

/// Number of tasks that a caller changes in turn.
const TASKS: usize = 4;
/// Number of changes after each creation.
const CHANGES: usize = 3;

#[derive(Debug, Args)]
pub(crate) struct Replicas {
    /// Commands for each figure
    #[arg(long, default_value_t = 100_000)]
    commands: usize,
    /// People who send them at once
    #[arg(long, default_value_t = 16)]
    callers: usize,
}

/// The result of one way to send the commands.
struct Outcome {
    statuses: BTreeMap<StatusCode, usize>,
    latencies: Histogram<u64>,
    took: Duration,
    conflicts: f64,
}

impl Replicas {
    pub(crate) async fn run(&self, binary: &Path) -> anyhow::Result<()> {
        self.on(binary, "PostgreSQL", None).await?;
        let server = StandIn::start();
        let url = format!("kurrentdb://{}?tls=false&streamPrefix=bench.", server.address());
        self.on(binary, "the stand-in for KurrentDB", Some(&url)).await
    }

    async fn on(&self, binary: &Path, log: &str, event_store: Option<&str>) -> anyhow::Result<()> {
        let plan = Plan { command_apis: 2, event_store, ..Plan::of(Deployment::Servers) };
        let system = System::start_as(plan, binary).await?;
        let people = load::join(&system.front(), self.callers).await?;
        let command_apis = system.addresses("command-api");
        let mut there = Vec::new();
        for address in &command_apis {
            there.push(load::at(&people, address).await?);
        }
        let gateway: Vec<Vec<Arc<Person>>> = people.iter().map(|person| vec![person.clone()]).collect();
        let at_one =
            (0..self.callers).map(|caller| vec![there[caller % there.len()][caller].clone()]).collect();
        let in_turn = (0..self.callers)
            .map(|caller| there.iter().map(|people| people[caller].clone()).collect())
            .collect();
        print(&format!("{} commands of {} callers, the log on {log}", self.commands, self.callers));
        print(
            "                                   per second        p50        p99  (ms)  conflicts   not done",
        );
        let mut rates = Vec::new();
        for (name, callers) in [
            ("through the gateway", gateway),
            ("each caller at one command API", at_one),
            ("each caller at both in turn", in_turn),
        ] {
            let outcome = self.load(&system, callers).await?;
            rates.push(outcome.rate());
            print(&outcome.row(name));
            ensure!(outcome.refused().is_empty(), "commands were not done: {:?}", outcome.refused());
        }
        print(&format!("at one to both in turn: {:.2}", rates[1] / rates[2]));
        print("");
        system.stop().await
    }

    /// Every caller sends commands over their connections in turn, until all commands are sent.
    async fn load(&self, system: &System, callers: Vec<Vec<Arc<Person>>>) -> anyhow::Result<Outcome> {
        const CONFLICTS: &str = "taskledger_command_api_conflicts_total";
        let before = system.metric("command-api", CONFLICTS).await?;
        let left = Arc::new(AtomicUsize::new(self.commands));
        let started = Instant::now();
        let mut workers = JoinSet::new();
        for connections in callers {
            let left = Arc::clone(&left);
            workers.spawn(async move { work(&connections, &left).await });
        }
        let mut outcome = Outcome {
            statuses: BTreeMap::new(),
            latencies: Histogram::new(3)?,
            took: Duration::ZERO,
            conflicts: 0.0,
        };
        while let Some(worker) = workers.join_next().await {
            let (statuses, latencies) = worker??;
            for (status, count) in statuses {
                *outcome.statuses.entry(status).or_default() += count;
            }
            outcome.latencies.add(latencies)?;
        }
        outcome.took = started.elapsed();
        outcome.conflicts = system.metric("command-api", CONFLICTS).await? - before;
        Ok(outcome)
    }
}

impl Outcome {
    fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.took.as_secs_f64()
    }

    fn refused(&self) -> BTreeMap<StatusCode, usize> {
        let refused = self.statuses.iter().filter(|(status, _)| !status.is_success());
        refused.map(|(status, count)| (*status, *count)).collect()
    }

    fn row(&self, name: &str) -> String {
        let at = |quantile| self.latencies.value_at_quantile(quantile) as f64 / 1_000.0;
        format!(
            "{name:<34} {:>10.0} {:>10.2} {:>10.2}       {:>10} {:>10}",
            self.rate(),
            at(0.5),
            at(0.99),
            self.conflicts,
            self.refused().values().sum::<usize>()
        )
    }
}

type Worked = (BTreeMap<StatusCode, usize>, Histogram<u64>);

async fn work(connections: &[Arc<Person>], left: &AtomicUsize) -> anyhow::Result<Worked> {
    let (mut statuses, mut latencies) = (BTreeMap::new(), Histogram::new(3)?);
    let mut tasks: Vec<String> = Vec::new();
    let is_left = |left: usize| left.checked_sub(1);
    for (number, person) in connections.iter().cycle().enumerate() {
        if left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, is_left).is_err() {
            break;
        }
        let is_creation = tasks.len() < TASKS || number % (CHANGES + 1) == CHANGES;
        let body = json!({"title": format!("Measure for the {number}th time")});
        let path = match is_creation {
            true => "/tasks",
            false => &tasks[number / 2 % TASKS],
        };
        let method = if is_creation { Method::POST } else { Method::PATCH };
        let started = Instant::now();
        let answer = person.ask(method, path, Some(&body), &[]).await?;
        latencies.record(u64::try_from(started.elapsed().as_micros())?)?;
        *statuses.entry(answer.status).or_default() += 1;
        if is_creation && answer.status == StatusCode::CREATED {
            let task = format!("/tasks/{}", answer.member("/id")?);
            if tasks.len() < TASKS {
                tasks.push(task);
            } else {
                tasks[number / 2 % TASKS] = task;
            }
        }
    }
    Ok((statuses, latencies))
}
