//! A stage with databases, a bus and a clock; roles that run on it, with someone who answers token checks; requests.

mod app;
mod auth;
mod request;
mod stage;

pub(crate) use app::App;
pub(crate) use auth::{bearer, bearer_without_tasks, user};
pub(crate) use request::{Reply, Request};
pub(crate) use stage::Stage;
pub(crate) use test_support::{Cost, FaultyStore, Footing, eventually, on_both_footings};
