//! Auth: accounts, sessions and tokens; the only role that sees passwords or signing keys.
//!
//! `domain/` decides, `crates/aggregate` loads and appends, `endpoints/` has a file for each endpoint, `operator/`
//! one for each command of an operator, and `token_check.rs` checks tokens. All state is in events; cached state is
//! compared with the log at each use.

#![expect(missing_docs, reason = "only the program itself uses a role")]

mod account_snapshots;
mod aggregates;
mod auth;
mod command_metadata;
mod config;
mod domain;
mod endpoints;
mod erasure;
mod error;
mod hash_costs;
mod key_count;
mod key_reload;
pub mod keys;
mod last_admin;
mod metrics;
mod operator;
mod password;
mod password_verification;
mod program_token_check;
mod program_tokens;
mod projection;
mod public_keys;
mod reset_offer;
mod routes;
mod second_factor;
mod session_start;
mod start;
mod throttle;
mod token;
mod token_check;

pub use config::{Config, Dependencies};
pub use erasure::Receipt;
pub use operator::{AccountHolder, BadLine, Erased, Granted, Imported, Operator};
pub use password::Argon2Parameters;
pub use reset_offer::Reset;
pub use start::start;
