//! Caches answers to reads of tasks, for the same access token only.
//!
//! A cached answer is used while it is at most a few seconds old and includes the state of the caller's own commands:
//! the state that this gateway remembers, and that of the client's token. So earlier answers cannot be used after a
//! write, and need not be deleted. A caller who writes through one gateway and reads through another without a
//! `Consistency-Token` may see an answer that is up to [`store::LIFETIME`] old.
//!
//! The token is checked for each read, and the role has decided with the same token whether it may read the target.

mod lookup;
mod metrics;
mod reader;
mod single_flight;
mod status;
mod store;
mod stored;

pub(crate) use lookup::Lookup;
pub(crate) use metrics::CacheMetrics;
pub(crate) use reader::Reader;
pub(crate) use status::Status;
pub(crate) use store::Answers;
pub(crate) use stored::MAX_BYTES;
