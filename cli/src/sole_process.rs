//! Refuses a second process on the same PostgreSQL if there is no RabbitMQ. The bus is then within one process, and
//! the second would never receive messages of the first.

use std::time::Duration;

use anyhow::bail;
use database::{PostgresServer, ProcessLock};
use tokio_util::sync::CancellationToken;

const NAME: &str = "taskledger.sole_process";
/// Number of attempts, since the server needs a moment to notice that an earlier process was killed.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// Takes the lock for the one process that runs all roles without RabbitMQ.
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

/// Stops this process if another one gets the lock, which can happen only after the server was unreachable.
pub(crate) async fn hold(right: ProcessLock, stop: CancellationToken) {
    if stop.run_until_cancelled(right.hold()).await.is_some() {
        tracing::error!(
            "another taskledger runs all roles on this database without RabbitMQ: this process stops"
        );
        stop.cancel();
    }
}
