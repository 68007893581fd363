//! What the operator has configured about clients: trusted proxies, limits, and origins of pages (CORS). Read from a file, and again
//! on `SIGHUP`.

mod file;
mod origins;
mod policies;
mod reload;

use http_api::Peers;

pub(crate) use policies::Policies;
pub(crate) use reload::reload_on_hangup;

use crate::limits::Limits;
use origins::Origins;

/// What the operator has decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Policy {
    /// The proxies in front of this gateway, whose word about their clients is taken.
    pub(crate) trusted_proxies: Peers,
    /// Whose pages in browsers may use the API.
    pub(crate) origins: Origins,
    /// Requests that one user, or one address without a token, may have at work at the same time.
    pub(crate) in_flight_per_caller: u32,
    pub(crate) limits: Limits,
}
