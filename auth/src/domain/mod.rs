//! Who may do what to accounts, sessions and addresses. Plain functions from state and command to events or
//! a refusal: no I/O, no clock, no random number, no HTTP.

pub(crate) mod account;
pub(crate) mod admins;
pub(crate) mod claim;
pub(crate) mod program_token;
mod refusal;
pub(crate) mod reset;
pub(crate) mod second_factor;
pub(crate) mod session;
#[cfg(test)]
mod testing;

pub(crate) use claim::Claim;
pub(crate) use refusal::{FREE_ATTEMPTS, Refusal};
