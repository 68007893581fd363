//! Measures the latency that a proxy adds at a thousand requests per second: the latency through it minus that
//! without it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::ensure;
use hdrhistogram::Histogram;
use http::Method;
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval_at},
};

use super::{
    nginx::Nginx,
    second_gateway::{in_front_of, quiet},
};
use crate::{
    client::Person,
    limits,
    output::{print, verdict},
    system::{System, UNLIMITED},
};

/// Requests per second, and the number of connections that share them.
const RATE: u32 = 1_000;
const WORKERS: u32 = 20;
/// Maximum ratio of the gateway's added latency to nginx's.
const MAX_RATIO: f64 = 1.3;

pub(super) async fn run(
    system: &mut System,
    upstream: &Nginx,
    person: &Person,
    rounds: usize,
    span: Duration,
) -> anyhow::Result<()> {
    let nginx = Nginx::proxy(upstream)?;
    nginx.ready().await?;
    let gateway = in_front_of(system, upstream, UNLIMITED, &[quiet()]).await?;
    // For each round the median and the 99th percentile in µs: without a proxy, through nginx, and through the
    // gateway.
    let mut medians: [Vec<f64>; 3] = Default::default();
    let mut p99s: [Vec<f64>; 3] = Default::default();
    for _ in 0..rounds {
        for (place, address) in [upstream.address(), nginx.address(), &gateway].into_iter().enumerate() {
            let times = at_rate(person, address, span).await?;
            medians[place].push(times.value_at_quantile(0.5) as f64);
            p99s[place].push(times.value_at_quantile(0.99) as f64);
        }
    }
    for (name, times) in [("p50", medians), ("p99", p99s)] {
        let [direct, nginx, gateway] = times.map(limits::median);
        let (of_gateway, of_nginx) = (gateway - direct, nginx - direct);
        print(&format!(
            "added at {RATE}/s, {name}: gateway {of_gateway:.0} µs, nginx {of_nginx:.0} µs to {direct:.0} µs without: {}",
            compared(of_gateway, of_nginx)
        ));
    }
    system.stop_beside()
}

/// The ratio as text, with a note if it is above the limit.
fn compared(of_gateway: f64, of_nginx: f64) -> String {
    // No proxy saves time, so a negative value means that the noise is larger than the difference.
    if of_gateway <= 0.0 || of_nginx <= 0.0 {
        return format!("NOT MEASURED, at most {MAX_RATIO}: a proxy seems to save time");
    }
    let ratio = of_gateway / of_nginx;
    let verdict = verdict(ratio <= MAX_RATIO);
    format!("{ratio:.2} times, at most {MAX_RATIO}{verdict}")
}

/// The latencies in µs of requests that start at [`RATE`], however long they take.
async fn at_rate(person: &Person, address: &str, span: Duration) -> anyhow::Result<Histogram<u64>> {
    let between = Duration::from_secs(1) * WORKERS / RATE;
    let begin = Instant::now() + Duration::from_millis(100);
    let mut workers = JoinSet::new();
    for worker in 0..WORKERS {
        let person = Arc::new(person.at(address).await?);
        workers.spawn(async move {
            let mut times = Histogram::<u64>::new(3)?;
            let mut ticks = interval_at((begin + between * worker / WORKERS).into(), between);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while begin.elapsed() < span {
                ticks.tick().await;
                let sent = Instant::now();
                person.send(Method::GET, "/auth/me", None, &[]).await?;
                times.record(u64::try_from(sent.elapsed().as_micros())?)?;
            }
            anyhow::Ok(times)
        });
    }
    let mut times = Histogram::new(3)?;
    while let Some(worker) = workers.join_next().await {
        times.add(worker??)?;
    }
    // At another load the latency would be another one.
    let rate = times.len() as f64 / span.as_secs_f64();
    ensure!(rate > 0.9 * f64::from(RATE), "only {rate:.0} requests a second instead of {RATE}");
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_that_a_proxy_seems_to_save_meets_nothing() {
        assert_eq!(compared(120.0, 100.0), "1.20 times, at most 1.3");
        assert_eq!(compared(140.0, 100.0), "1.40 times, at most 1.3  MISSED");
        for (of_gateway, of_nginx) in [(-5.0, 100.0), (100.0, -5.0), (-5.0, -5.0), (100.0, 0.0)] {
            assert!(compared(of_gateway, of_nginx).contains("NOT MEASURED"));
        }
    }
}
