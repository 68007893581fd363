//! How often whom may ask for what. Counted by this process alone: behind several gateways a client has as many budgets.
//!
//! `limit.rs` says what a limit is, `subject.rs` who is counted, `account.rs` finds the account that a login is about,
//! `in_flight.rs` counts what is at work, `fields.rs` writes the headers, `middleware.rs` puts it all in front of the routes.

mod account;
mod fields;
mod in_flight;
mod limit;
mod middleware;
mod subject;

pub(crate) use limit::{By, Limit, Limits, Name, RoutePattern};
pub(crate) use middleware::{Limiter, limit};
