//! `Idempotency-Key`: the same command sent again has one effect and one answer, across races, crashes,
//! restarts and replicas.
//!
//! The row of a key has the hash of the request and, once there is one, the answer. One process at a time works on a
//! key, with a lease that expires; others wait for its answer. Should the process die between its append and storing
//! the answer, the next try finds the key in the metadata of the task's events, among those that came after the first
//! try began.
//!
//! A batch is one row too. In the log each of its commands has a key of its own, made from the batch's key and its
//! place; a batch of which some commands could not be carried out notes in its row which of them are done.

mod cleanup;
mod error;
mod keys;
mod quota;
mod request_hash;
mod statements;

pub use cleanup::clean_up;
pub use error::IdempotencyError;
pub use keys::{Claim, IdempotencyKeys, KeyTurn, Keyed, Lease, Stored};
pub(crate) use quota::KEYS_PER_PERSON;
pub use request_hash::RequestHash;
