//! Compares logins with bare argon2 of the same parameters on the same number of threads, and measures what many
//! logins cost other requests.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use argon2::Argon2;
use clap::Args;

use crate::{
    limits::{Ratio, Wanted},
    load::{self, Kind},
    system::{Deployment, System},
};

/// Number of people who log in repeatedly. They send requests to auth itself, since the gateway limits the logins of
/// each.
const CROWD: usize = 64;
/// Number of people who work on tasks meanwhile.
const WORKERS: usize = 8;

#[derive(Debug, Args)]
pub(crate) struct Logins {
    /// How often each is measured, in turn with its limit
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds for each measurement
    #[arg(long, default_value_t = 4)]
    seconds: u64,
}

impl Logins {
    pub(crate) async fn run(&self, binary: &Path) -> anyhow::Result<()> {
        let seconds = Duration::from_secs(self.seconds);
        // This is auth's default number of threads.
        let threads = thread::available_parallelism().map_or(1, usize::from).saturating_sub(1).max(1);
        let system = System::start(Deployment::Servers, binary).await?;
        let crowd = load::join(&system.front(), CROWD).await?;
        let crowd = load::at(&crowd, &system.address("auth")).await?;
        let workers = load::join(&system.front(), WORKERS).await?;

        let (mut share, mut slower) = (Ratio::default(), Ratio::default());
        for _ in 0..self.rounds {
            let bare = tokio::task::spawn_blocking(move || bare_hashes(threads, seconds)).await??;
            let logins = load::run(&crowd, seconds, Kind::Logins).await?;
            share.add(logins.rate(), bare);
            let calm = load::run(&workers, seconds, Kind::Commands).await?;
            let storm = load::run(&crowd, seconds, Kind::Logins);
            let (_, beside) = futures::try_join!(storm, load::run(&workers, seconds, Kind::Commands))?;
            slower.add(beside.p99(), calm.p99());
        }
        system.stop().await?;

        Ratio::print_head();
        share.report(
            &format!("logins, {CROWD} conn. | argon2 on {threads} threads"),
            "/s",
            Wanted::AtLeast(0.9),
        );
        slower.report("p99 of commands beside a storm of logins | without", "ms", Wanted::AtMost(2.0));
        Ok(())
    }
}

/// Hashes per second with auth's default parameters.
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
