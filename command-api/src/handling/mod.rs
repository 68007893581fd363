//! Load, decide, append: how a command takes effect. It must not know of HTTP.
//!
//! `handler.rs` has the loop, `basis.rs` what each decision rests on, `earlier_try.rs` what an earlier try did, `contest.rs`
//! the turns of those who fight over a task, `task_states.rs` the states, from `task_cache.rs` and `snapshots.rs`. The append
//! itself is in `crates/aggregate`.

mod basis;
mod batch;
mod contest;
mod earlier_try;
mod error;
mod handler;
mod kept_answer;
mod kept_task;
mod metrics;
mod request;
mod snapshots;
mod task_cache;
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
