//! Helpers for tests: real databases, tasks in them, and the role.
#![expect(clippy::disallowed_methods, reason = "tests make ids and tasks as they like")]

mod databases;
mod history;
mod log;
mod projection;
mod role;
mod tasks;

pub(crate) use databases::{on_postgres, on_sqlite};
pub(crate) use history::{audit, insert_history};
pub(crate) use log::TestLog;
pub(crate) use projection::{PARTITIONS, project, signal_checkpoint};
pub(crate) use role::{Answer, EXPIRES_AT, TestRole};
pub(crate) use tasks::{insert, insert_at, task, user};
