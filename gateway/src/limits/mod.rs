//! Rate limits. Each process counts for itself, so with several gateways a client has several budgets.
//!
//! `budgets.rs` has the budgets. `limit.rs` defines a limit and `subject.rs` whom it counts, `account.rs` finds the
//! account of a login, `in_flight.rs` counts running requests, `admission.rs` counts one request in all limits,
//! `fields.rs` writes the headers, and `middleware.rs` applies the limits to requests.
//!
//! auth limits failed logins and registrations of each address by itself, in its database: `auth/src/throttle/`.

mod account;
mod admission;
mod budgets;
mod fields;
mod in_flight;
mod limit;
mod middleware;
mod subject;

pub(crate) use budgets::Limiter;
pub(crate) use limit::{By, Limit, Limits, Name, RoutePattern};
pub(crate) use middleware::{count_probe, limit};
