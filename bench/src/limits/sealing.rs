//! Compares commands whose events are sealed with the same commands with events in clear.

use std::path::Path;

use anyhow::Result;

use super::ratio::{Ratio, Rounds, Wanted};
use crate::{
    load::{self, Kind},
    system::{Deployment, Plan, System},
};

const CONNECTIONS: usize = 64;

pub(super) async fn run(rounds: Rounds, binary: &Path) -> Result<()> {
    let mut ratio = Ratio::default();
    for _ in 0..rounds.count {
        let clear = rate(rounds, binary, false).await?;
        ratio.add(rate(rounds, binary, true).await?, clear);
    }
    ratio.report("commands with sealed events, 64 conn. | in clear", "/s", Wanted::AtLeast(0.9));
    Ok(())
}

/// Commands per second at the command API, without a projector.
async fn rate(rounds: Rounds, binary: &Path, seal_events: bool) -> Result<f64> {
    let plan = Plan { seal_events, ..Plan::of(Deployment::Servers) };
    let mut system = System::start_as(plan, binary).await?;
    let people = load::join(&system.front(), CONNECTIONS).await?;
    let people = load::at(&people, &system.address("command-api")).await?;
    system.stop_role("projector")?;
    system.stop_role("query-api")?;
    let figure = load::run(&people, rounds.span, Kind::Commands).await?;
    drop(people);
    system.stop().await?;
    Ok(figure.rate())
}
