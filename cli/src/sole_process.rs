//! Without RabbitMQ the bus is within one process: a second one on the same PostgreSQL would never hear of what the
//! first one does, so it is refused.

use std::time::Duration;

use anyhow::bail;
use database::{PostgresServer, ProcessLock};
use tokio_util::sync::CancellationToken;

const NAME: &str = "taskledger.sole_process";
/// The server needs a moment to notice that the process before was killed.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// The right to be the one process that runs all roles without RabbitMQ.
pub(crate) async fn take(server: &PostgresServer) -> anyhow::Result<ProcessLock> {
    for _ in 0..TRIES {
        if let Some(right) = ProcessLock::take(server, NAME).await? {
            return Ok(right);
        }
        tokio::time::sleep(PAUSE).await;
    }
    bail!(
        "another taskledger runs all roles on this database, and without RabbitMQ the two would not hear of each other: set AMQP_URL for both, or stop the other one"
    )
}

/// Stops this process should another get hold of the right, which happens only after the server was away.
pub(crate) async fn hold(right: ProcessLock, stop: CancellationToken) {
    if stop.run_until_cancelled(right.hold()).await.is_some() {
        tracing::error!(
            "another taskledger runs all roles on this database without RabbitMQ: this process stops"
        );
        stop.cancel();
    }
}
