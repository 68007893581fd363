//! The contract between those who are shown access tokens and the one who can judge them.
//!
//! [`messages`] is what travels over the bus, [`TokenRules`] says which tokens can be genuine, [`Verifier`] holds a token
//! to them, asks and remembers, [`Caller`], [`SignedIn`], [`TaskOwner`] and [`AuditReader`] hand a handler whoever is calling.
//! Nothing here can make a token.

mod cache;
mod caller;
mod check;
mod check_metrics;
mod claims;
mod jwk;
mod known_keys;
pub mod messages;
mod refusals;
mod remote;
mod token;
mod verifier;
mod verifier_options;

pub use caller::{AuditReader, Caller, SignedIn, TaskOwner, bearer_token, presented_token};
pub use check::{Check, VerifyError};
pub use claims::{Claims, DEFAULT_ISSUER, TOKEN_TYPE, TokenRules, key_id};
pub use jwk::VerifyingKey;
pub use messages::{Credential, Identity, KEYS_QUEUE, REVOCATIONS, Rejection, Revocation, VERIFY_QUEUE};
pub use token::{PROGRAM_TOKEN_PREFIX, program_token_name};
pub use verifier::Verifier;
pub use verifier_options::VerifierOptions;
