//! Runs the system under all faults at once and checks what must hold nevertheless.
//!
//! A seed decides which faults are injected when (`schedule.rs`, `faults.rs`) and which commands are sent meanwhile
//! (`worker.rs`, with the model in `command.rs`, and `password_changer.rs`). `checks.rs` compares the result with the
//! log. One of the tests keeps the log in a stand-in for a cluster of KurrentDB, whose leader ends, freezes or loses
//! answers, and another runs everything in one process. In runs of their own the log loses its tail (`lost_tail.rs`,
//! `authors.rs`). `README.md` says which check finds which bug. `CHAOS_SEEDS` names the seeds to run: `17`, or
//! `1..=200`.

#![expect(clippy::disallowed_methods, reason = "tests make ids and start tasks as they like")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests fail by panicking"
)]

mod auditor;
mod authors;
mod checks;
mod command;
mod coverage;
mod fair_share;
mod fault_counts;
mod faults;
mod hang_ups;
mod harness;
mod held_appends;
mod lists;
mod lost_states;
mod lost_tail;
mod order;
mod other_streams;
mod password_changer;
mod poison;
mod recovery;
mod restart;
mod schedule;
mod somebody;
#[path = "../support/mod.rs"]
mod support;
mod unanswered_statement;
mod unusable_key;
mod worker;

use std::{
    any::Any,
    collections::BTreeMap,
    panic::{AssertUnwindSafe, resume_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{FutureExt as _, future::join_all};
use tokio::{sync::Mutex, task::JoinSet};

use fault_counts::FaultCounts;
use harness::{Excuse, Harness};
use password_changer::PasswordChanger;
use recovery::LongestWait;
use schedule::Schedule;
use support::{Deployment, System};

/// Seeds without `CHAOS_SEEDS`: a whole group, which has every fault except those that last a minute (`coverage.rs`).
const SHORT_RUN: [u64; 4] = [0, 1, 2, 3];
/// Seeds with the log in KurrentDB.
const SHORT_RUN_ON_KURRENTDB: [u64; 1] = [4];
/// Seeds with one process on SQLite files.
const SHORT_RUN_EMBEDDED: [u64; 2] = [1, 2];
/// Held during each run on servers: a restart of the broker would disturb another run, so nothing else may use it.
static ALONE: Mutex<()> = Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_doubled_or_torn_under_faults_on_postgres_and_rabbitmq() {
    under_faults(Deployment::Servers, &SHORT_RUN).await;
}

/// The log is in a stand-in for a cluster of KurrentDB, and everything else is as above.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_doubled_or_torn_under_faults_on_kurrentdb_postgres_and_rabbitmq() {
    under_faults(Deployment::KurrentDb, &SHORT_RUN_ON_KURRENTDB).await;
}

/// Everything is in one process, on SQLite files on a small disk. It needs neither server, so it does not wait for the
/// others.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_doubled_or_torn_under_faults_in_one_process() {
    under_faults(Deployment::Embedded, &SHORT_RUN_EMBEDDED).await;
}

async fn under_faults(deployment: Deployment, short_run: &[u64]) {
    let mut fault_counts = FaultCounts::default();
    for seed in seeds(short_run) {
        let is_embedded = deployment == Deployment::Embedded;
        let _alone = match is_embedded {
            true => None,
            false => Some(ALONE.lock().await),
        };
        let started = Instant::now();
        let system = System::launched(deployment, if is_embedded { 1 } else { 2 }).await;
        let replicas = system.replicas();
        let schedule = match deployment {
            Deployment::Embedded => Schedule::of_embedded(seed),
            Deployment::Servers => Schedule::of(seed, &replicas),
            Deployment::KurrentDb => Schedule::of(seed, &replicas).with_kurrentdb(seed),
        };
        let harness = Harness::new(system);
        if is_embedded {
            harness.move_to_a_small_disk().await;
        }
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
        Some((first, last)) => first.parse().and_then(|first| Ok((first..=last.parse()?).collect())),
        None => text.parse().map(|seed| vec![seed]),
    };
    seeds.expect("CHAOS_SEEDS is a number, or two with ..= between them")
}

/// The result of a run.
struct Report {
    /// The injected faults, and what of several each of them struck.
    struck: Vec<(&'static str, Option<String>)>,
    /// Number of writes that were refused as on a full disk, by table.
    refused_writes: BTreeMap<String, usize>,
    /// Faults that could not be injected, and why.
    excuses: Vec<String>,
    commands: usize,
    events: usize,
    /// Number of requests whose answer was not awaited.
    hang_ups: usize,
    /// Number of checkpoints of the audit tree that were kept and proved.
    checkpoints: usize,
    /// Number of ended sessions that were found refused.
    ended_sessions: usize,
    longest_wait: LongestWait,
}

async fn run(seed: u64, schedule: &Schedule, harness: &Harness) -> Report {
    let launched = Instant::now();
    checks::everybody_is_ready(harness).await;
    harness.recovery.calibrate(launched.elapsed());
    harness.prepare().await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut workers = JoinSet::new();
    for worker in worker::hire(seed, harness).await {
        workers.spawn(worker.work(Arc::clone(&stop)));
    }
    let gateways = harness.system.lock().await.bases.clone();
    let password_changer = PasswordChanger::join(seed, gateways.clone(), harness.recovery.clone()).await;
    let password_changer = tokio::spawn(password_changer.work(Arc::clone(&stop)));

    let auditor = tokio::spawn(auditor::keep_checkpoints(gateways.clone(), Arc::clone(&stop)));

    let injections = schedule.faults.iter().map(async |scheduled| {
        tokio::time::sleep(scheduled.at).await;
        let (name, target) = (scheduled.fault.name(), scheduled.fault.target());
        let injected = scheduled.fault.clone().inject(harness).await;
        injected.map(|()| (name, target)).map_err(|Excuse(reason)| format!("{name}: {reason}"))
    });
    let reviving = async {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            harness.system.lock().await.revive();
        }
    };
    let happening = async {
        let injected = join_all(injections).await;
        stop.store(true, Ordering::Relaxed);
        let workers = workers.join_all().await;
        let password_changer =
            password_changer.await.unwrap_or_else(|failure| resume_unwind(failure.into_panic()));
        (injected, workers, password_changer, auditor.await.unwrap())
    };
    // A process may be unable to start until the last fault has ended.
    let (injected, workers, mut password_changer, checkpoints) = tokio::select! {
        happened = happening => happened,
        () = reviving => unreachable!("goes on for ever"),
    };
    let (mut struck, mut excuses) = (Vec::new(), Vec::new());
    for outcome in injected {
        match outcome {
            Ok(fault) => struck.push(fault),
            Err(excuse) => excuses.push(excuse),
        }
    }
    checks::everybody_is_ready(harness).await;
    fair_share::everybody_has_a_share(harness).await;
    hang_ups::what_was_received_is_carried_out(harness).await;
    password_changer.leave().await;
    checks::projection_reaches_the_head(harness).await;
    let ended: Vec<&str> = workers
        .iter()
        .flat_map(|worker| &worker.ended)
        .chain(&password_changer.ended)
        .map(String::as_str)
        .collect();
    checks::ended_sessions_are_refused(harness, &gateways, &ended).await;
    checks::session_is_alive(password_changer.kept()).await;
    if !harness.is_embedded {
        lists::damaged_rows_hide_nobody_else(harness).await;
    }
    checks::damaged_rows_are_made_anew(harness).await;
    let checkpoints = auditor::the_tree_is_that_of_the_log(harness, &checkpoints).await;
    let refused_writes = harness.refused_writes().await;
    let mut system = harness.system.lock().await;
    system.terminate_all();
    let events = checks::check(harness, &workers).await;
    checks::nobody_panicked(&system);
    Report {
        struck,
        refused_writes,
        excuses,
        commands: workers.iter().map(|worker| worker.records.len()).sum(),
        events,
        checkpoints,
        hang_ups: workers.iter().map(|worker| worker.hang_ups.load(Ordering::Relaxed)).sum(),
        ended_sessions: ended.len(),
        longest_wait: harness.recovery.longest(),
    }
}
