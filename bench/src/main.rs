//! Measures Taskledger: `cargo run --release -p bench -- embedded`, or another command of `--help`.
//!
//! `embedded` and `servers` measure the running system from outside, over HTTP. `limits` compares each figure with what
//! the same database and broker achieve, in the same run, for a program that does only the unavoidable work. `growth`
//! measures whether anything costs more when the log is long, and `search` the cost of searching for words. Absolute
//! numbers depend on the machine, so compare only runs on the same machine.
#![expect(clippy::disallowed_methods, reason = "a benchmark makes ids and tasks as it likes")]

mod audit;
mod bounds;
mod catch_up;
mod client;
mod gateway;
mod growth;
mod kurrentdb;
mod limits;
mod load;
mod log;
mod logins;
mod output;
mod replicas;
mod role_process;
mod search;
mod servers;
mod soak;
mod system;
mod threads;
mod token_checks;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, Parser, Subcommand};
use load::Kind;
use output::{print, verdict};
use system::Deployment;
use threads::{inside, outside_only};

/// Measures commands, queries, the time until a command is visible, the projector, and their limits.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    what: Benchmark,
    /// Where the release binary is
    #[arg(long, global = true, default_value = "target/release/taskledger")]
    binary: PathBuf,
    /// Fail in the end if a figure misses what is wanted of it
    #[arg(long, global = true)]
    strict: bool,
}

#[derive(Debug, Subcommand)]
enum Benchmark {
    /// One process on SQLite files, from outside
    Embedded(Outside),
    /// Every role its own process over PostgreSQL (DATABASE_URL) and RabbitMQ (AMQP_URL), from outside
    Servers(Outside),
    /// Each figure as a ratio to what the servers do for a hand-written program
    Limits(limits::Limits),
    /// Whether anything costs more in a log of millions than in a short one
    Growth(growth::Growth),
    /// What a search among many long tasks costs, and what it costs others
    Search(search::Search),
    /// What a long stream, a greedy caller, a slow commit or a fast appender costs everybody else
    Bounds(bounds::Bounds),
    /// What the audit tree costs the projector, and how fast the log is verified next to how fast it is read
    Audit(audit::Audit),
    /// What the gateway costs next to nginx in front of the same upstream
    Gateway(gateway::GatewayBench),
    /// The store on KurrentDB next to a bare stream of appends, both on a stand-in for the server
    Kurrentdb(kurrentdb::KurrentDb),
    /// Logins next to bare argon2, and what a storm of them costs everybody else
    Logins(logins::Logins),
    /// What it is worth that a caller's commands go to one of two command APIs, and whether any is refused
    Replicas(replicas::Replicas),
    /// Whether anything gets slower or larger while eight people work for a quarter of an hour
    Soak(soak::Soak),
    /// Token checks over RabbitMQ, by auth and remembered, next to a message and its reply
    TokenChecks(token_checks::TokenChecks),
}

#[derive(Debug, Args)]
struct Outside {
    /// Seconds for each figure
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Events for the catch-up
    #[arg(long, default_value_t = 100_000)]
    events: u64,
}

fn main() -> anyhow::Result<()> {
    let Arguments { what, binary, strict } = Arguments::parse();
    run(what, &binary)?;
    let misses = output::misses();
    anyhow::ensure!(misses == 0 || !strict, "{misses} figures miss what is wanted of them");
    Ok(())
}

fn run(what: Benchmark, binary: &Path) -> anyhow::Result<()> {
    match what {
        Benchmark::Embedded(options) => inside()?.block_on(outside(Deployment::Embedded, &options, binary)),
        Benchmark::Servers(options) => inside()?.block_on(outside(Deployment::Servers, &options, binary)),
        Benchmark::Limits(limits) => limits.run(binary),
        Benchmark::Search(search) => outside_only()?.block_on(search.run(binary)),
        Benchmark::Growth(growth) => inside()?.block_on(growth.run(binary)),
        Benchmark::Bounds(bounds) => inside()?.block_on(bounds.run(binary)),
        Benchmark::Audit(audit) => inside()?.block_on(audit.run()),
        Benchmark::Gateway(gateway) => outside_only()?.block_on(gateway.run(binary)),
        Benchmark::Kurrentdb(kurrentdb) => inside()?.block_on(kurrentdb.run()),
        Benchmark::Logins(logins) => outside_only()?.block_on(logins.run(binary)),
        Benchmark::Replicas(replicas) => inside()?.block_on(replicas.run(binary)),
        Benchmark::Soak(soak) => outside_only()?.block_on(soak.run(binary)),
        Benchmark::TokenChecks(checks) => inside()?.block_on(checks.run(binary)),
    }
}

/// How long the system rests before its memory is looked at once more.
const REST: Duration = Duration::from_secs(10);

async fn outside(deployment: Deployment, options: &Outside, binary: &Path) -> anyhow::Result<()> {
    let seconds = Duration::from_secs(options.seconds);
    let system = system::System::start(deployment, binary).await?;
    print(&format!("{deployment:?}: start to ready in {} ms", system.started_in.as_millis()));
    let at_start = (deployment == Deployment::Embedded).then_some(40.0);
    remember(&system, "after the start", at_start)?;
    let people = load::join(&system.front(), 64).await?;
    print("");
    print("through the gateway                per second        p50        p95        p99        max  (ms)");
    for connections in [1, 16, 64] {
        let figure = load::run(&people[..connections], seconds, Kind::Commands).await?;
        print(&figure.row(&format!("commands, {connections} connections")));
    }
    load::give_tasks(&people, 50).await?;
    for (name, kind) in [("lists of 50", Kind::Lists), ("cached lists of 50", Kind::CachedLists)] {
        for connections in [1, 16, 64] {
            let figure = load::run(&people[..connections], seconds, kind).await?;
            print(&figure.row(&format!("{name}, {connections} connections")));
        }
    }
    // This gives 200 commands per second for 16 people.
    let pause = Duration::from_millis(80);
    let figure = load::run(&people[..16], seconds, Kind::Visible { pause }).await?;
    print(&figure.row("acknowledged to visible"));
    print("");
    let at_end = (deployment == Deployment::Servers).then_some(150.0);
    remember(&system, "after this", at_end)?;
    // What a process is done with goes back to the system in a few seconds.
    tokio::time::sleep(REST).await;
    remember(&system, "after ten seconds at rest", at_end)?;
    system.stop().await?;

    let rate = catch_up::alone(deployment, options.events).await?;
    print("");
    print(&format!("projector catch-up over {} events: {rate:.0} events/s", options.events));
    Ok(())
}

/// Prints the memory of each process and of all together, with a note if the sum is above `at_most` MiB.
fn remember(system: &system::System, when: &str, at_most: Option<f64>) -> anyhow::Result<()> {
    let memory = system.memory()?;
    let all: f64 = memory.iter().map(|(_, mib)| mib).sum();
    let each: Vec<String> = memory.iter().map(|(role, mib)| format!("{role} {mib:.1}")).collect();
    let verdict = match at_most {
        Some(bound) => format!(", at most {bound}{}", verdict(all <= bound)),
        None => String::new(),
    };
    print(&format!(
        "resident memory {when}: {all:.1} MiB ({}){verdict}; {:.1} MiB if what processes share is counted once",
        each.join(", "),
        system.memory_in_all()?
    ));
    Ok(())
}
