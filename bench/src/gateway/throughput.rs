//! Compares requests per second through the gateway and through nginx, in turns.

use std::time::Duration;

use super::{
    nginx::Nginx,
    second_gateway::{BY_ADDRESS, CONNECTIONS, in_front_of, quiet},
    wrk,
};
use crate::{
    limits::{Ratio, Wanted},
    system::{System, UNLIMITED},
};

const BY_USER: &str = "[[limit]]\nname = \"user\"\nby = \"user\"\nroutes = [\"*\"]\nrequests = 20000\nper_seconds = 1\nburst = 200000\n";

/// Without a token on a public path, compared with an nginx that only forwards.
pub(super) async fn plain(
    system: &mut System,
    upstream: &Nginx,
    rounds: usize,
    span: Duration,
) -> anyhow::Result<()> {
    let nginx = Nginx::proxy(upstream)?;
    nginx.ready().await?;
    let gateway = in_front_of(system, upstream, UNLIMITED, &[quiet()]).await?;
    let mut ratio = Ratio::default();
    for _ in 0..rounds {
        let limit = wrk::ask(nginx.address(), PUBLIC, &[], None, span).await?;
        ratio.add(wrk::ask(&gateway, PUBLIC, &[], None, span).await?.rate, limit.rate);
    }
    ratio.report(&format!("proxied 1 KiB, {CONNECTIONS} conn. | nginx"), "/s", Wanted::AtLeast(0.7));
    system.stop_beside()
}

/// With a token, limits by address and by user, and the access log, compared with an nginx that does the same.
pub(super) async fn limited_and_logged(
    system: &mut System,
    upstream: &Nginx,
    token: &str,
    rounds: usize,
    span: Duration,
) -> anyhow::Result<()> {
    let nginx = Nginx::limited_and_logged(upstream)?;
    nginx.ready().await?;
    let log = system.directory().join("bench-access.log");
    let limits = format!("{UNLIMITED}{BY_USER}{BY_ADDRESS}");
    let logged = [
        ("TASKLEDGER_ACCESS_LOG", log.display().to_string()),
        ("TASKLEDGER_LOG", "warn,access=info".to_owned()),
    ];
    let gateway = in_front_of(system, upstream, &limits, &logged).await?;
    let headers = [format!("Authorization: Bearer {token}")];
    let (mut ratio, mut answered) = (Ratio::default(), 0);
    for _ in 0..rounds {
        let limit = wrk::ask(nginx.address(), OWN, &headers, None, span).await?;
        let measured = wrk::ask(&gateway, OWN, &headers, None, span).await?;
        answered += measured.requests;
        ratio.add(measured.rate, limit.rate);
    }
    ratio.report(
        &format!("the same, limited and logged, {CONNECTIONS} conn. | nginx"),
        "/s",
        Wanted::AtLeast(0.7),
    );
    system.stop_beside()?;
    // The measurement counts only if every line was written to the log.
    let lines = std::fs::read(&log)?.iter().filter(|byte| **byte == b'\n').count() as u64;
    anyhow::ensure!(lines >= answered, "the gateway answered {answered} requests and logged {lines}");
    Ok(())
}

/// A path that anyone may read.
const PUBLIC: &str = "/.well-known/jwks.json";
/// A path for authenticated callers, whose answer is never cached.
const OWN: &str = "/auth/me";
