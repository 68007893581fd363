//! What the operator has configured about clients: trusted proxies, limits, and origins of pages (CORS). Read from a
//! file, and again on `SIGHUP`.

mod file;
mod in_force;
mod origins;
mod reload;

use http_api::Peers;

pub(crate) use in_force::Policies;
pub(crate) use origins::Origins;
pub(crate) use reload::reload_on_hangup;

use crate::limits::Limits;

/// The operator's decisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Policy {
    /// The proxies in front of this gateway whose headers are trusted.
    pub(crate) trusted_proxies: Peers,
    /// The origins whose pages may use the API from browsers.
    pub(crate) origins: Origins,
    /// The most running requests of one user, or of one address without a token.
    pub(crate) in_flight_per_caller: u32,
    pub(crate) limits: Limits,
}
