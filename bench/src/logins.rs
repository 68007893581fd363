//! Logins next to bare argon2 with the same parameters on as many threads, and what a storm of logins costs those who are
//! logged in.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use argon2::Argon2;
use clap::Args;

use crate::{
    load::{self, Kind},
    print,
    system::{Footing, System},
};

/// People who log in over and over. Each has a budget of logins at the gateway, and this asks auth itself.
const CROWD: usize = 64;
/// People who work on tasks meanwhile.
const WORKERS: usize = 8;
/// What logins have of bare argon2 at least, and how much longer a task takes beside a storm of them at most.
const LEAST_SHARE: f64 = 0.9;
const MOST_SLOWER: f64 = 2.0;

#[derive(Debug, Args)]
pub(crate) struct Logins {
    /// Seconds for each figure
    #[arg(long, default_value_t = 8)]
    seconds: u64,
}

impl Logins {
    pub(crate) async fn run(&self, binary: &Path) -> anyhow::Result<()> {
        let seconds = Duration::from_secs(self.seconds);
        // As many as auth takes by default.
        let threads = thread::available_parallelism()
            .map_or(1, usize::from)
            .saturating_sub(1)
            .max(1);
        let before = bare_hashes(threads, seconds)?;
        let system = System::start(Footing::Servers, binary).await?;
        let crowd = load::join(&system.front(), CROWD).await?;
        let crowd = load::at(&crowd, &system.address("auth")).await?;
        let workers = load::join(&system.front(), WORKERS).await?;

        print("                               per second        p50        p95        p99        max  (ms)");
        let logins = load::run(&crowd, seconds, Kind::Logins).await?;
        print(&logins.row(&format!("logins, {CROWD} connections")));
        let calm = load::run(&workers, seconds, Kind::Commands).await?;
        print(&calm.row("commands without logins"));
        let storm = load::run(&crowd, seconds, Kind::Logins);
        let (storm, beside) = futures::try_join!(storm, load::run(&workers, seconds, Kind::Commands))?;
        print(&storm.row("logins beside commands"));
        print(&beside.row("commands beside logins"));
        system.stop().await?;

        // Once before and once after, since a machine that is warm or shared gets slower while it is measured.
        let bare = f64::midpoint(before, bare_hashes(threads, seconds)?);
        let share = logins.rate() / bare;
        print(&format!(
            "logins are {share:.2} of {bare:.0} bare hashes a second on {threads} threads, at least {LEAST_SHARE}{}",
            verdict(share >= LEAST_SHARE)
        ));
        let slower = beside.p99() / calm.p99();
        print(&format!(
            "beside logins the p99 of commands is {slower:.2} times as long, at most {MOST_SLOWER}{}",
            verdict(slower <= MOST_SLOWER)
        ));
        Ok(())
    }
}

const fn verdict(is_met: bool) -> &'static str {
    if is_met { "" } else { "  MISSED" }
}

/// Hashes a second with the default parameters, which are auth's.
fn bare_hashes(threads: usize, duration: Duration) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let count = || -> Result<u64, argon2::Error> {
        let (argon2, mut output, mut count) = (Argon2::default(), [0; 32], 0);
        while begun.elapsed() < duration {
            argon2.hash_password_into(b"a rather long passphrase", b"sixteen bytes, a", &mut output)?;
            count += 1;
        }
        Ok(count)
    };
    let counts: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(count)).collect();
        workers.into_iter().map(thread::ScopedJoinHandle::join).collect()
    });
    let mut total = 0;
    for count in counts {
        total += count.map_err(|_| anyhow::anyhow!("a thread broke off"))??;
    }
    Ok(total as f64 / begun.elapsed().as_secs_f64())
}
