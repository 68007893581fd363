//! A request to auth over the bus, and its reply.

use std::time::Duration;

use bus::Bus;
use bytes::Bytes;
use tokio::time::{Instant, timeout};

/// How much longer than its deadline a request is waited for. The bus enforces the deadline itself.
const LEEWAY: Duration = Duration::from_millis(500);

/// Sends `request` to `queue`, and returns the reply, or why there is none within `deadline`.
pub(crate) async fn ask_auth(
    bus: &dyn Bus,
    queue: &str,
    request: Bytes,
    deadline: Duration,
) -> Result<Bytes, String> {
    let (begun, limit) = (Instant::now(), deadline.saturating_add(LEEWAY));
    let reply = timeout(limit, bus.request(queue, request, deadline)).await;
    // After this process has stood still, a reply is there together with the end of the time.
    match reply {
        Ok(Ok(_)) if begun.elapsed() > limit => Err("the reply came too late".to_owned()),
        Ok(reply) => reply.map_err(|error| error.to_string()),
        Err(elapsed) => Err(elapsed.to_string()),
    }
}
