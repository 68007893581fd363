//! The contract between those who are shown access tokens and the one who can judge them.
//!
//! [`messages`] is what travels over the bus, [`Verifier`] asks and remembers, [`Caller`] hands a handler
//! the person who is calling. Nothing here knows how a token is made or what is inside one.

mod cache;
mod caller;
pub mod messages;
mod token;
mod verifier;

pub use caller::Caller;
pub use messages::{Identity, REVOCATIONS, Rejection, Revocation, VERIFY_QUEUE};
pub use verifier::{Check, Verifier, VerifierOptions, VerifyError};
