//! `Cache-Status`: how an answer was made (RFC 9211).

use http::{HeaderName, HeaderValue};

pub(super) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// How a read was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// From the cache.
    Hit,
    /// By the role, and cached.
    Stored,
    /// By the role; the answer cannot be cached.
    NotStored,
    /// With the answer to a concurrent identical read.
    Collapsed,
    /// By the role, because the client asked for that, and cached.
    Refreshed,
    /// By the role; this kind of read is never cached.
    Bypassed,
}

impl Status {
    /// The name in metrics and in the access log.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Stored => "stored",
            Self::NotStored => "not_stored",
            Self::Collapsed => "collapsed",
            Self::Refreshed => "refreshed",
            Self::Bypassed => "bypassed",
        }
    }

    pub(super) fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Hit => "taskledger; hit",
            Self::Stored => "taskledger; fwd=miss; stored",
            Self::NotStored => "taskledger; fwd=miss",
            Self::Collapsed => "taskledger; fwd=miss; collapsed",
            Self::Refreshed => "taskledger; fwd=request; stored",
            Self::Bypassed => "taskledger; fwd=bypass",
        })
    }
}
