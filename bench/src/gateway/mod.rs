//! Compares the gateway with nginx as a reverse proxy to the same upstream in the same run: requests per second,
//! added latency, and memory.
//!
//! The upstream is an nginx that answers every request with one kibibyte of JSON, so that little of the machine is
//! used behind the proxies. `wrk` sends requests as fast as they are answered. Both are packages of Debian.

mod cached;
mod latency;
mod memory;
mod nginx;
mod second_gateway;
mod throughput;
mod wrk;

use std::{path::Path, time::Duration};

use clap::Args;

use self::nginx::Nginx;
use crate::{
    client::Person,
    system::{Deployment, System},
};

#[derive(Debug, Args)]
pub(crate) struct GatewayBench {
    /// How often each figure is measured, in turn with its limit
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds for each measurement
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Addresses that the gateway sees in the end
    #[arg(long, default_value_t = 1_000_000)]
    addresses: u64,
}

impl GatewayBench {
    pub(crate) async fn run(&self, binary: &Path) -> anyhow::Result<()> {
        let span = Duration::from_secs(self.seconds);
        let mut system = System::start(Deployment::Servers, binary).await?;
        let upstream = Nginx::upstream()?;
        upstream.ready().await?;
        let person = Person::join(&system.front()).await?;
        let token = person.tokens().await.access;

        crate::limits::Ratio::print_head();
        throughput::plain(&mut system, &upstream, self.rounds, span).await?;
        throughput::limited_and_logged(&mut system, &upstream, &token, self.rounds, span).await?;
        cached::run(&system, self.rounds, span).await?;
        latency::run(&mut system, &upstream, &person, self.rounds, span).await?;
        memory::run(&mut system, &upstream, self.addresses).await?;
        system.stop().await
    }
}
