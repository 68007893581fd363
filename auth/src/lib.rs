//! Auth: accounts, sessions and tokens; the only role that sees passwords or signing keys.
//!
//! `domain/` decides, `ledger.rs` loads and appends, `endpoints/` has a file for each endpoint, `check.rs`
//! answers whether a token is good. All state is in events; what is remembered of it is compared with the log at each use.

mod admins;
mod auth;
mod check;
mod config;
mod domain;
mod endpoints;
mod entity;
mod error;
mod grant;
mod key_files;
mod keys;
mod ledger;
mod metrics;
mod password;
mod program_token;
mod routes;
mod start;
mod state_cache;
mod token;

pub use config::Config;
pub use grant::{Granted, grant};
pub use password::Argon2Parameters;
pub use start::{Dependencies, start};
