//! A stage with databases and a bus; roles that run on it, with someone who answers token checks; requests.

mod app;
mod auth;
mod clock;
mod counting_store;
mod faulty_store;
mod request;
mod stage;

pub(crate) use app::{App, eventually};
pub(crate) use auth::{bearer, bearer_without_tasks, user};
pub(crate) use clock::TestClock;
pub(crate) use counting_store::CountingStore;
pub(crate) use faulty_store::FaultyStore;
pub(crate) use request::{Reply, Request};
pub(crate) use stage::{Footing, Stage};
