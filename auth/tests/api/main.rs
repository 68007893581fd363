//! The endpoints of auth over a real SQLite store and the bus within one process. One file for each endpoint.

#![expect(clippy::disallowed_methods, reason = "tests make ids and start tasks as they like")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

mod addresses;
mod admins;
mod change_password;
mod checks;
mod conditions;
mod crash;
mod erase_me;
mod fair_share;
mod familiar_addresses;
mod grant;
mod hash_queue;
mod import;
mod interrupted_erasure;
mod jwks;
mod list_users;
mod login;
mod login_second_factor;
mod logout;
mod long_streams;
mod me;
mod no_oracle;
mod one_append;
mod outage;
mod program_tokens;
mod projection;
mod refresh;
mod register;
mod reset;
mod second_factor;
mod second_factor_roles;
mod security_log;
mod sessions;
mod support;
mod throttle;
mod unreadable_accounts;
mod unreadable_admins;
mod unreadable_erasure;
mod unreadable_streams;
mod unusable_key;
