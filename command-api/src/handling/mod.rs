//! Load, decide, append: how a command takes effect. It must not know of HTTP.

mod batch;
mod error;
mod handler;
mod hot_tasks;
mod metrics;
mod request;
mod task_history;

pub use error::CommandError;
pub use handler::CommandHandler;
pub use metrics::CommandMetrics;
pub use request::{CommandRequest, Earlier, Origin, Outcome};
