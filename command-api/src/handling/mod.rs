//! Load, decide, append: how a command takes effect. It must not know of HTTP.

mod batch;
mod earlier_try;
mod error;
mod handler;
mod hot_tasks;
mod kept_answer;
mod kept_task;
mod metrics;
mod request;
mod snapshots;
mod task_state;
mod task_states;

pub use error::CommandError;
pub use handler::CommandHandler;
pub use kept_answer::{KeptAnswer, Settled};
pub use kept_task::KeptTask;
pub use metrics::CommandMetrics;
pub use request::{CommandRequest, Origin, Outcome, Tries};
pub use snapshots::clean_up_snapshots;
pub use task_state::TaskState;
