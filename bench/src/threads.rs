//! The number of threads of a measurement.

use tokio::runtime::{Builder, Runtime};

/// A runtime for measurements that run parts of Taskledger in this process.
pub(crate) fn inside() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().enable_all().build()
}

/// A runtime with one thread for measurements that only send requests, as pgbench does. It leaves the other cores to
/// the servers.
pub(crate) fn outside_only() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}
