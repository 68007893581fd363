//! How many threads a measurement itself has.

use tokio::runtime::{Builder, Runtime};

/// For what runs parts of Taskledger in this process.
pub(crate) fn inside() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().enable_all().build()
}

/// For what only sends requests, as pgbench does: one thread leaves the other cores to those who answer.
pub(crate) fn outside_only() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}
