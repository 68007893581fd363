//! A stage with databases and a bus; roles that run on it, with someone who answers token checks; requests.

mod app;
mod auth;
mod request;
mod stage;

pub(crate) use app::App;
pub(crate) use auth::{bearer, bearer_without_tasks, user};
pub(crate) use request::{Reply, Request};
pub(crate) use stage::{Footing, Stage};
pub(crate) use test_support::{Cost, FaultyStore, eventually};
