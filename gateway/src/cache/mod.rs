//! Answers reads of tasks again without asking the query API, for the same access token only.
//!
//! An answer counts as long as it is a few seconds old at most, and shows at least the state that the caller's own commands
//! have led to: the one that this front door remembers, and the one that the client names. So a write makes what was kept
//! before it unreachable; nothing has to be deleted in time. A caller who writes through one front door and reads through
//! another without a `Consistency-Token` may see an answer of up to [`store::LIFETIME`] ago.
//!
//! Whether a token is still good is asked each time, and whether it may read what it reads was decided by the role behind
//! for that very token.

mod lookup;
mod metrics;
mod reader;
mod single_flight;
mod status;
mod store;
mod stored;

pub(crate) use lookup::{Lookup, TokenKey};
pub(crate) use metrics::CacheMetrics;
pub(crate) use reader::Reader;
pub(crate) use status::Status;
pub(crate) use store::Answers;
