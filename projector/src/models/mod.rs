//! The read models: how each is folded from events and how it looks as a row.
//!
//! To add one, add its table to the migrations, implement [`Model`] in a file of its own, and add it to the list in
//! `list.rs`. Loading, writing, verifying, rebuilding and the status follow from the list.

mod account;
mod audit;
mod history;
mod list;
mod model;
mod parked_events;
mod row_buffer;
mod session;
pub(crate) mod table;
mod task;

pub(crate) use audit::{AUDIT_LOG, audit_values, storable};
pub(crate) use history::{TASK_HISTORY, TaskVersion};
pub(crate) use list::{ListedModel, ModelRows, each_listed_model, for_each_model, list_of_models, table_of};
pub(crate) use model::Model;
pub(crate) use parked_events::{PARKED_EVENTS, PARKED_EVENTS_WITHOUT_REASON};
pub(crate) use row_buffer::{ApplyFailure, RowBuffer, Slot};
