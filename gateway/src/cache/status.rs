//! `Cache-Status`: how an answer came about (RFC 9211).

use http::{HeaderName, HeaderValue};

pub(super) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// How a read was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// From what was kept.
    Hit,
    /// By the role, and kept.
    Stored,
    /// By the role: the answer cannot be kept.
    NotStored,
    /// With the answer to another who asked the same at the same time.
    Collapsed,
    /// By the role, because the client wanted so; and kept.
    Refreshed,
    /// By the role: this question is never answered from what was kept.
    Bypassed,
}

impl Status {
    /// For metrics, and for the access log.
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
