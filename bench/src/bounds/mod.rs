//! Measures what a long stream, a greedy client, a slow commit or a fast appender costs all others.

mod long_stream;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use bus::{RabbitBus, RabbitOptions};
use clap::Args;
use futures::StreamExt as _;
use http::Method;
use serde_json::json;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::task::JoinSet;

use self::long_stream::{Request, Side};
use crate::{
    client::Person,
    limits::median,
    load::{self, Kind},
    log,
    output::{print, verdict},
    servers,
    system::{Deployment, System},
};

#[derive(Debug, Args)]
pub(crate) struct Bounds {
    /// Events in a long stream
    #[arg(long, default_value_t = 100_000)]
    long: u64,
    /// How often each thing is measured, in turn with what it is compared with
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds for each measurement of a rate
    #[arg(long, default_value_t = 5)]
    seconds: u64,
}

const SHORT: u64 = 10;

/// Number of concurrent requests of the greedy writer.
const GREEDY: usize = 8;
/// Maximum milliseconds of another person's read after a write beside the greedy writer.
const READ_AFTER_WRITE_MS: f64 = 250.0;

/// Age of the latest events that the relay need not have published yet.
const ON_THEIR_WAY: Duration = Duration::from_millis(100);
/// Time in which the relay must reach the end of the log after the last append.
const RELAY_TIMEOUT: Duration = Duration::from_secs(60);

const APPENDERS: usize = 8;
const COMMIT_MICROSECONDS: u32 = 5_000;

impl Bounds {
    pub(crate) async fn run(&self, binary: &Path) -> Result<()> {
        self.long_streams(binary).await?;
        self.greedy_writer(binary).await?;
        self.relay(binary).await?;
        self.slow_commits().await
    }

    /// Compares the cost of a request on a stream of ten events and on a long one.
    async fn long_streams(&self, binary: &Path) -> Result<()> {
        let system = System::start(Deployment::Servers, binary).await?;
        let url = system.database_url().context("no database")?.to_owned();
        let store = event_store::open(&url, 2).await?;
        let options = RabbitOptions { name: "bench".to_owned(), namespace: system.namespace.clone() };
        let bus = RabbitBus::connect(&servers::amqp_url(), options).await?;
        let mut sides = Vec::new();
        for length in [SHORT, self.long] {
            sides.push(Side::make(&system, store.as_ref(), length).await?);
        }
        // The projection of the long streams is not part of the measurement.
        while system.metric("projector", PROJECTION_LAG).await? > 0.0 {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        print(&format!(
            "{:<44} {:>12} {:>12} {:>7}",
            "",
            format!("{SHORT} events"),
            format!("{} events", self.long),
            "ratio"
        ));
        for request in [
            Request::TokenCheck,
            Request::NoOp,
            Request::Refused,
            // Logins come last, since so many end the session that the other requests use.
            Request::Login,
        ] {
            let mut milliseconds = [Vec::new(), Vec::new()];
            for _ in 0..self.rounds {
                for (side, known) in sides.iter().zip(&mut milliseconds) {
                    known.push(side.median(request, bus.as_ref()).await?);
                }
            }
            let [short, long] = milliseconds.map(median);
            row(request.name(), short, long, "ms", long / short, |ratio| ratio <= 1.2, "at most 1.2");
        }
        drop(sides);
        system.stop().await
    }

    /// Measures another person's reads after their own writes, beside an account that sends the largest batches as
    /// fast as they are answered.
    async fn greedy_writer(&self, binary: &Path) -> Result<()> {
        let system = System::start(Deployment::Servers, binary).await?;
        let span = Duration::from_secs(self.seconds * 3);
        let honest = load::join(&system.front(), 4).await?;
        let pause = Duration::from_millis(50);
        let alone = load::run(&honest, span, Kind::Visible { pause }).await?;
        let first = Arc::new(Person::join(&system.front()).await?);
        let stop = Arc::new(AtomicBool::new(false));
        let mut writers = JoinSet::new();
        for _ in 0..GREEDY {
            writers.spawn(write_greedily(first.at(&system.front()).await?, stop.clone()));
        }
        // The greedy client first builds up a backlog, for which others must not wait.
        tokio::time::sleep(span).await;
        let beside = load::run(&honest, span, Kind::Visible { pause }).await?;
        stop.store(true, Ordering::Relaxed);
        let mut written = 0;
        while let Some(count) = writers.join_next().await {
            written += count??;
        }
        ensure!(written > 0, "the greedy writer was refused throughout");
        row(
            "read after write beside a greedy writer, p99",
            alone.p99(),
            beside.p99(),
            "ms",
            beside.p99() / alone.p99(),
            |_| beside.p99() <= READ_AFTER_WRITE_MS,
            "at most 250 ms",
        );
        print(&format!("  (left: alone; the greedy writer created {written} tasks)"));
        drop((honest, first));
        system.stop().await
    }

    /// Measures whether the relay publishes as fast as the store appends.
    async fn relay(&self, binary: &Path) -> Result<()> {
        let system = System::start(Deployment::Servers, binary).await?;
        let url = system.database_url().context("no database")?.to_owned();
        let store = event_store::open(&url, 4).await?;
        let (mut appended, mut relayed, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            let head = store.head().await?;
            let relayed_before = system.metric("command-api", RELAYED).await?;
            let skipped_before = system.metric("command-api", SKIPPED).await?;
            let start = Instant::now();
            log::append(&store, 64, Duration::from_secs(self.seconds)).await?;
            let seconds = start.elapsed().as_secs_f64();
            let relayed_meanwhile = system.metric("command-api", RELAYED).await? - relayed_before;
            let count = (store.head().await? - head) as f64;
            let begun = Instant::now();
            while system.metric("command-api", RELAY_LAG).await? > 0.0 {
                ensure!(begun.elapsed() < RELAY_TIMEOUT, "the relay does not reach the end of the log");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            appended.push(count / seconds);
            relayed.push(relayed_meanwhile / seconds);
            skipped.push((system.metric("command-api", SKIPPED).await? - skipped_before) / seconds);
        }
        let (appended, relayed, skipped) = (median(appended), median(relayed), median(skipped));
        // When the last event is appended, the messages of the latest ones are still on their way.
        let wanted = 1.0 - ON_THEIR_WAY.as_secs_f64() / self.seconds as f64;
        row(
            "events appended, and relayed meanwhile",
            appended,
            relayed,
            "/s",
            relayed / appended,
            |ratio| ratio >= wanted,
            &format!("at least {wanted:.2}"),
        );
        row(
            "events appended, and skipped by the relay",
            appended,
            skipped,
            "/s",
            skipped / appended,
            |ratio| ratio <= 0.005,
            "at most 0.005",
        );
        drop(store);
        system.stop().await
    }

    /// Eight stores append to one log while a commit takes five milliseconds, with and without a listener for each.
    async fn slow_commits(&self) -> Result<()> {
        let mut rates = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            rates.0.push(self.commits(false).await?);
            rates.1.push(self.commits(true).await?);
        }
        let (without, with) = (median(rates.0), median(rates.1));
        row(
            "8 appenders, commit of 5 ms: without, with listeners",
            without,
            with,
            "/s",
            with / without,
            |ratio| ratio >= 0.9,
            "at least 0.9",
        );
        Ok(())
    }

    async fn commits(&self, listeners: bool) -> Result<f64> {
        let database = servers::Database::create().await?;
        let mut postgres = PgConnection::connect(&database.url).await?;
        let name = database.url.rsplit('/').next().unwrap_or_default().to_owned();
        // The server waits this long before each flush, as with a slow disk.
        let delay = format!(
            "ALTER DATABASE {name} SET commit_delay = {COMMIT_MICROSECONDS}; ALTER DATABASE {name} SET commit_siblings = 0"
        );
        postgres.execute(sqlx::raw_sql(&delay)).await?;
        postgres.close().await?;
        let mut stores = Vec::new();
        for _ in 0..APPENDERS {
            stores.push(event_store::open(&database.url, 2).await?);
        }
        let mut listening = JoinSet::new();
        if listeners {
            for store in &stores {
                let mut log = store.subscribe(0);
                listening.spawn(async move { while log.next().await.is_some() {} });
            }
        }
        let mut appending = JoinSet::new();
        let span = Duration::from_secs(self.seconds);
        for store in stores {
            appending.spawn(async move { log::append(&store, 1, span).await });
        }
        let mut rate = 0.0;
        while let Some(one) = appending.join_next().await {
            rate += one??;
        }
        listening.abort_all();
        while listening.join_next().await.is_some() {}
        database.drop().await?;
        Ok(rate)
    }
}

const PROJECTION_LAG: &str = "taskledger_projector_lag_events";
const RELAY_LAG: &str = "taskledger_relay_lag_events";
const RELAYED: &str = "taskledger_relay_published_total";
/// Events that the broker did not take in time. The projector reads them from the log.
const SKIPPED: &str = "taskledger_relay_skipped_total";

fn row(name: &str, left: f64, right: f64, unit: &str, ratio: f64, holds: impl Fn(f64) -> bool, wanted: &str) {
    let figure = |value: f64| match unit {
        "ms" => format!("{value:.2} ms"),
        unit => format!("{value:.0}{unit}"),
    };
    let verdict = verdict(holds(ratio));
    print(&format!("{name:<52} {:>12} {:>12} {ratio:>7.2}  {wanted}{verdict}", figure(left), figure(right)));
}

async fn write_greedily(person: Person, stop: Arc<AtomicBool>) -> Result<usize> {
    let create = json!({"op": "create", "title": "More", "description": "more ".repeat(20)});
    let body = json!({"commands": vec![create; 100]});
    let mut written = 0;
    while !stop.load(Ordering::Relaxed) {
        let answer = person.ask(Method::POST, "/tasks/batch", Some(&body), &[]).await?;
        if answer.status.is_success() {
            written += 100;
        } else {
            // This client does not wait as long as `Retry-After` says.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    Ok(written)
}
