//! Measures whether an append, a page of a list, a catch-up or a role's memory costs more with a long log.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::{
    client::Person,
    limits::median,
    load::{self, Kind},
    log,
    output::{print, verdict},
    system::{Deployment, System},
};

#[derive(Debug, Args)]
pub(crate) struct Growth {
    /// Events in the short log
    #[arg(long, default_value_t = 100_000)]
    from: u64,
    /// Events in the long log
    #[arg(long, default_value_t = 10_000_000)]
    to: u64,
    /// Seconds for each measurement of a rate
    #[arg(long, default_value_t = 5)]
    seconds: u64,
}

/// Maximum ratio of the costs.
const FLAT: f64 = 1.3;

/// Number of events that the projector has to catch up with.
const BEHIND: u64 = 300_000;

/// Number of tasks of each person who reads lists, for both lengths of the log.
const TASKS: usize = 100;
const PEOPLE: usize = 16;

impl Growth {
    pub(crate) async fn run(&self, binary: &Path) -> Result<()> {
        let mut system = System::start(Deployment::Servers, binary).await?;
        let mut postgres = PgConnection::connect(system.database_url().context("no database")?).await?;
        let people = load::join(&system.front(), PEOPLE).await?;
        load::give_tasks(&people, TASKS).await?;
        let short = self.measure(&mut system, &mut postgres, &people, self.from).await?;
        let long = self.measure(&mut system, &mut postgres, &people, self.to).await?;
        print(&format!(
            "{:<40} {:>12} {:>12} {:>8}  at most {FLAT}",
            "",
            format!("{} events", self.from),
            format!("{} events", self.to),
            "growth"
        ));
        for ((name, short), (_, long)) in short.iter().zip(&long) {
            let growth = long / short;
            let verdict = verdict(growth <= FLAT);
            print(&format!("{name:<40} {short:>12.2} {long:>12.2} {growth:>8.2}{verdict}"));
        }
        postgres.close().await?;
        drop(people);
        system.stop().await
    }

    /// The costs with a log of `length` events.
    async fn measure(
        &self,
        system: &mut System,
        postgres: &mut PgConnection,
        people: &[Arc<Person>],
        length: u64,
    ) -> Result<Vec<(String, f64)>> {
        let span = Duration::from_secs(self.seconds);
        system.stop_role("projector")?;
        system.stop_role("command-api")?;
        log::extend(postgres, length).await?;
        self.project(system, postgres).await?;
        postgres.execute("VACUUM ANALYZE").await?;

        // There are so many events that the start of the process matters little.
        let head = log::head(postgres).await?;
        // The first round includes the cost of a checkpoint, as one of many rounds would.
        postgres.execute("CHECKPOINT").await?;
        let mut rates = Vec::new();
        for round in 1..=3 {
            log::extend(postgres, head + round * BEHIND).await?;
            rates.push(self.project(system, postgres).await?.as_secs_f64());
        }
        let catch_up = median(rates) * 1e6 / BEHIND as f64;

        let url = system.database_url().context("no database")?.to_owned();
        let store = event_store::open(&url, 4).await?;
        postgres.execute("CHECKPOINT").await?;
        let mut appends = Vec::new();
        for _ in 0..3 {
            appends.push(1e6 / log::append(&store, 64, span).await?);
        }
        drop(store);

        system.start_role("projector")?;
        system.start_role("command-api")?;
        self.caught_up(postgres).await?;
        system.ready().await?;
        postgres.execute("CHECKPOINT").await?;
        // Their connections may have been closed while they were idle.
        let writers = load::at(people, &system.front()).await?;
        load::run(&writers, span, Kind::Commands).await?;
        let readers = load::at(people, &system.address("query-api")).await?;
        let lists = load::run(&readers[..1], span, Kind::Lists).await?;
        let mut costs = vec![
            ("append, 64 writers, µs an event".to_owned(), median(appends)),
            ("page of 50, ms (median)".to_owned(), lists.median()),
            ("catch-up, µs an event".to_owned(), catch_up),
        ];
        for (role, memory) in system.memory()? {
            costs.push((format!("memory of {role}, MiB"), memory));
        }
        Ok(costs)
    }

    /// Starts the projector, waits until it has processed new events, and stops it.
    async fn project(&self, system: &mut System, postgres: &mut PgConnection) -> Result<Duration> {
        let started = Instant::now();
        system.start_role("projector")?;
        self.caught_up(postgres).await?;
        let elapsed = started.elapsed();
        system.stop_role("projector")?;
        Ok(elapsed)
    }

    async fn caught_up(&self, postgres: &mut PgConnection) -> Result<()> {
        let head = log::head(postgres).await?;
        let started = Instant::now();
        loop {
            let reached: i64 =
                sqlx::query_scalar("SELECT coalesce(min(position), 0) FROM read_models.checkpoints")
                    .fetch_one(&mut *postgres)
                    .await?;
            if u64::try_from(reached)? >= head {
                return Ok(());
            }
            if started.elapsed() > Duration::from_secs(1_800) {
                bail!("the projector has not caught up after half an hour");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
