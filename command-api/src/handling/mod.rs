//! Load, decide, append: how a command takes effect. It must not know of HTTP.
//!
//! `handler.rs` has the loop, `decision_state.rs` what each decision rests on, `earlier_try.rs` what an earlier try did, `conflict_queue.rs`
//! the turns of those who fight over a task, `task_states.rs` the states. How those are loaded and appended to is in
//! `crates/aggregate`, as for every aggregate; what is folded of a task is in `task_state.rs`, what is kept of it in `snapshots.rs`.

mod batch;
mod conflict_queue;
mod decision_state;
mod earlier_try;
mod error;
mod handler;
mod idempotency_key;
mod kept_answer;
mod metrics;
mod request;
mod snapshots;
mod task_snapshot;
mod task_state;
mod task_states;

pub use error::CommandError;
pub use handler::CommandHandler;
pub use idempotency_key::{IdempotencyKey, InvalidKey};
pub use kept_answer::{CommandResult, KeptAnswer};
pub use metrics::CommandMetrics;
pub use request::{CommandMetadata, CommandRequest, Executed, Tries};
pub use snapshots::clean_up_snapshots;
pub use task_snapshot::KeptTask;
pub use task_state::TaskState;
