//! Auth: accounts, sessions and tokens; the only role that sees passwords or signing keys.
//!
//! `domain/` decides, `crates/aggregate` loads and appends, `endpoints/` has a file for each endpoint, `operator/`
//! one for each command of an operator, and `token_check.rs` checks tokens. All state is in events; cached state is
//! compared with the log at each use.

#![expect(missing_docs, reason = "only the program itself uses a role")]

mod account_snapshots;
mod accounts;
mod aggregates;
mod app_state;
mod command_metadata;
mod config;
mod domain;
mod effective_roles;
mod endpoints;
mod erasure;
mod error;
mod key_reload;
pub mod keys;
mod last_admin;
mod metrics;
mod operator;
mod password;
mod password_hash_costs;
mod password_verification;
mod pepper_check;
mod program_token_check;
mod program_tokens;
mod projection;
mod public_keys;
mod reset_offer;
mod revocations;
mod routes;
mod second_factor;
mod sessions;
mod start;
mod subject_key_metrics;
mod throttle;
mod token;
mod token_check;

pub use config::{Config, Dependencies};
pub use erasure::Receipt;
pub use operator::{AccountHolder, BadLine, Erased, Granted, Imported, Operator};
pub use password::Argon2Parameters;
pub use pepper_check::check_keys;
pub use reset_offer::Reset;
pub use start::{check_breached_passwords, start};
