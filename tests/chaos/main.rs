//! Runs the system under all faults at once and checks what must hold nevertheless.
//!
//! A seed decides which faults are injected when (`schedule.rs`, `faults.rs`) and which commands are sent meanwhile
//! (`worker.rs`, with the model in `command.rs`, and `password_changer.rs`). `checks.rs` compares the result with the
//! log. One of the tests keeps the log in a stand-in for a cluster of KurrentDB, whose leader ends, freezes or loses
//! answers. In runs of their own the log loses its tail (`lost_tail.rs`, `authors.rs`). `README.md` says which check
//! finds which bug. `CHAOS_SEEDS` names the seeds to run: `17`, or `1..=200`.

#![expect(
    clippy::disallowed_methods,
    reason = "tests make ids and start tasks as they like"
)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests fail by panicking"
)]

mod authors;
mod checks;
mod command;
mod fault_counts;
mod faults;
mod harness;
mod lists;
mod lost_tail;
mod password_changer;
mod poison;
mod restart;
mod schedule;
#[path = "../support/mod.rs"]
mod support;
mod unusable_key;
mod worker;

use std::{
    any::Any,
    panic::{AssertUnwindSafe, resume_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{FutureExt as _, future::join_all};
use tokio::task::JoinSet;

use fault_counts::FaultCounts;
use harness::Harness;
use password_changer::PasswordChanger;
use schedule::Schedule;
use support::{Deployment, System};

/// Seeds without `CHAOS_SEEDS`. Together they have nearly every fault except those that last a minute, and the first
/// one restarts the broker.
const SHORT_RUN: [u64; 3] = [24, 37, 46];
/// Seeds with the log in KurrentDB.
const SHORT_RUN_ON_KURRENTDB: [u64; 1] = [5];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_doubled_or_torn_under_faults_on_postgres_and_rabbitmq() {
    under_faults(Deployment::Servers, &SHORT_RUN).await;
}

/// The log is in a stand-in for a cluster of KurrentDB, and everything else is as above.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_doubled_or_torn_under_faults_on_kurrentdb_postgres_and_rabbitmq() {
    under_faults(Deployment::KurrentDb, &SHORT_RUN_ON_KURRENTDB).await;
}

async fn under_faults(deployment: Deployment, short_run: &[u64]) {
    let mut fault_counts = FaultCounts::default();
    for seed in seeds(short_run) {
        let started = Instant::now();
        let system = System::launched(deployment, 2).await;
        let mut schedule = Schedule::of(seed, &system.replicas());
        if deployment == Deployment::KurrentDb {
            schedule = schedule.with_kurrentdb(seed);
        }
        let harness = Harness::new(system);
        match guarded(&harness, run(seed, &schedule, &harness)).await {
            Ok(report) => fault_counts.add(seed, started.elapsed(), &report),
            Err(violation) => {
                eprintln!("{fault_counts}");
                eprintln!("seed {seed} violates the contract. What struck:\n{schedule}");
                eprintln!(
                    "replay it: CHAOS_SEEDS={seed} cargo test -p taskledger --test chaos -- --nocapture"
                );
                resume_unwind(violation);
            }
        }
    }
    eprintln!("{fault_counts}");
}

/// Runs to the end or to the first violation of the contract, and cleans up in both cases.
async fn guarded<T>(harness: &Harness, run: impl Future<Output = T>) -> Result<T, Box<dyn Any + Send>> {
    let outcome = AssertUnwindSafe(run).catch_unwind().await;
    let mut system = harness.system.lock().await;
    if outcome.is_err() {
        system.print_logs();
    }
    system.clean().await;
    outcome
}

fn seeds(short_run: &[u64]) -> Vec<u64> {
    let Ok(text) = std::env::var("CHAOS_SEEDS") else {
        return short_run.to_vec();
    };
    let seeds = match text.split_once("..=") {
        Some((first, last)) => first
            .parse()
            .and_then(|first| Ok((first..=last.parse()?).collect())),
        None => text.parse().map(|seed| vec![seed]),
    };
    seeds.expect("CHAOS_SEEDS is a number, or two with ..= between them")
}

/// The result of a run.
struct Report {
    /// Names of the injected faults.
    struck: Vec<&'static str>,
    commands: usize,
    events: usize,
    /// Number of requests whose answer was not awaited.
    hang_ups: usize,
    /// Number of ended sessions that were found refused.
    ended_sessions: usize,
}

async fn run(seed: u64, schedule: &Schedule, harness: &Harness) -> Report {
    checks::everybody_is_ready(harness).await;
    harness.prepare().await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut workers = JoinSet::new();
    for worker in worker::hire(seed, harness).await {
        workers.spawn(worker.work(Arc::clone(&stop)));
    }
    let gateways = harness.system.lock().await.bases.clone();
    let password_changer = PasswordChanger::join(seed, gateways.clone()).await;
    let password_changer = tokio::spawn(password_changer.work(Arc::clone(&stop)));

    let injections = schedule.faults.iter().map(async |scheduled| {
        tokio::time::sleep(scheduled.at).await;
        let name = scheduled.fault.name();
        scheduled.fault.clone().inject(harness).await.then_some(name)
    });
    let reviving = async {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            harness.system.lock().await.revive();
        }
    };
    let struck: Vec<_> = tokio::select! {
        struck = join_all(injections) => struck.into_iter().flatten().collect(),
        () = reviving => unreachable!("goes on for ever"),
    };
    stop.store(true, Ordering::Relaxed);
    let workers = workers.join_all().await;
    let mut password_changer = password_changer
        .await
        .unwrap_or_else(|failure| resume_unwind(failure.into_panic()));

    checks::everybody_is_ready(harness).await;
    password_changer.leave().await;
    checks::projection_reaches_the_head(harness).await;
    let ended: Vec<&str> = workers
        .iter()
        .flat_map(|worker| &worker.ended)
        .chain(&password_changer.ended)
        .map(String::as_str)
        .collect();
    checks::ended_sessions_are_refused(&gateways, &ended).await;
    checks::session_is_alive(password_changer.kept()).await;
    lists::damaged_rows_hide_nobody_else(harness, password_changer.kept()).await;
    checks::damaged_rows_are_made_anew(harness).await;
    let mut system = harness.system.lock().await;
    system.terminate_all();
    let events = checks::check(harness, &workers).await;
    checks::nobody_panicked(&system);
    Report {
        struck,
        commands: workers.iter().map(|worker| worker.records.len()).sum(),
        events,
        hang_ups: workers
            .iter()
            .map(|worker| worker.hang_ups.load(Ordering::Relaxed))
            .sum(),
        ended_sessions: ended.len(),
    }
}
