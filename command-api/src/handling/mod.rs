//! Load, decide, append: how a command takes effect. Knows nothing of HTTP.
//!
//! `handler.rs` has the loop, `decision_state.rs` the state for each decision, `earlier_try.rs` the search for an
//! earlier try, `conflict_queue.rs` the queues after conflicts, `turns.rs` the order of a batch, `task_states.rs` the
//! states. Loading and appending is in `crates/aggregate`, as for every aggregate; `task_state.rs` has the folded state
//! of a task, `snapshots.rs` its stored form.

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
mod turns;

pub use handler::CommandHandler;
pub use idempotency_key::IdempotencyKey;
pub use metrics::CommandMetrics;

pub(crate) use error::CommandError;
pub(crate) use kept_answer::{CommandResult, KeptAnswer};
pub(crate) use request::{CommandMetadata, CommandRequest, Executed, Tries};
pub(crate) use snapshots::clean_up_snapshots;
pub(crate) use task_snapshot::KeptTask;
pub(crate) use task_state::TaskState;
