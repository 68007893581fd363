//! Refuses a second process on the same PostgreSQL if there is no RabbitMQ. The bus is then within one process, and
//! the second would never receive messages of the first.

use anyhow::Context as _;
use database::{PostgresServer, ProcessLock};
use runtime::Background;

const NAME: &str = "taskledger.sole_process";

/// Takes the lock for the one process that runs all roles without RabbitMQ. It waits for a process that was killed,
/// until the server has noticed its end.
pub(crate) async fn take(server: &PostgresServer) -> anyhow::Result<ProcessLock> {
    ProcessLock::take(server, NAME).await?.context(
        "another taskledger runs all roles on this database, and without RabbitMQ the two would not hear of each other: set AMQP_URL for both, or stop the other one"
    )
}

/// Stops this process if another one gets the lock, which can happen only after the server was unreachable.
pub(crate) fn hold(lock: ProcessLock, background: &Background) {
    let failing = background.clone();
    background.spawn_until_stopped("lock of the only process", async move {
        lock.hold().await;
        failing.fail("another taskledger runs all roles on this database without RabbitMQ");
    });
}
