//! The commands over HTTP: one file per endpoint, and `bare_command.rs` for all that have no body. Handlers extract,
//! call and map; they decide nothing.
//!
//! To add a command, give it a file here with its request and its handler, unless it has no body, and a line in
//! `routes.rs`.

mod answer;
pub(crate) mod bare_command;
pub(crate) mod batch;
pub(crate) mod change_task;
mod command_headers;
pub(crate) mod concurrency_limits;
pub(crate) mod create_task;
mod fields;
mod idempotent_request;
pub(crate) mod revert_task;
mod single_command;
pub(crate) mod undo_request;
