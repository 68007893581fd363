//! One file for each endpoint, with its request and its handler.
//!
//! To add one, write its file, give it a line in `routes.rs`, and a file of tests of the same name in `tests/`.

pub(crate) mod answer;
pub(crate) mod change_password;
pub(crate) mod concurrency_limits;
pub(crate) mod confirm_totp;
pub(crate) mod create_program_token;
pub(crate) mod end_session;
pub(crate) mod enroll_totp;
pub(crate) mod erase_me;
pub(crate) mod fields;
pub(crate) mod jwks;
pub(crate) mod list_program_tokens;
pub(crate) mod list_sessions;
pub(crate) mod list_users;
pub(crate) mod login;
pub(crate) mod login_second_factor;
pub(crate) mod logout;
pub(crate) mod logout_all;
pub(crate) mod me;
pub(crate) mod offer_reset;
pub(crate) mod refresh;
pub(crate) mod register;
pub(crate) mod remove_totp;
pub(crate) mod rename;
pub(crate) mod reset_password;
pub(crate) mod revoke_program_token;
pub(crate) mod revoke_program_tokens;
pub(crate) mod second_factor_roles;
pub(crate) mod session_start;
pub(crate) mod set_disabled;
pub(crate) mod set_roles;
mod target;
mod token_answer;
