//! The commands over HTTP: one file per endpoint. Handlers extract, call and map; they decide nothing.
//!
//! To add a command, give it a file here with its request and its handler, and a line in `routes.rs`.

mod answer;
pub(crate) mod batch;
pub(crate) mod cancel_task;
pub(crate) mod change_task;
mod command_headers;
pub(crate) mod complete_task;
pub(crate) mod concurrency_limits;
pub(crate) mod create_task;
pub(crate) mod delete_task;
mod fields;
mod idempotent_request;
pub(crate) mod reopen_task;
pub(crate) mod restore_task;
pub(crate) mod revert_task;
mod run_command;
mod single_command;
pub(crate) mod start_task;
pub(crate) mod undo_request;
