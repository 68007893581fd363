//! The headers that tell a client what it may have and how it stands
//! ([draft-ietf-httpapi-ratelimit-headers-10](https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-ratelimit-headers-10)):
//! structured fields, each a list of the names of limits with parameters.

use std::fmt;

use http::HeaderName;

/// `RateLimit-Policy`: a list of [`RateLimitPolicy`].
pub static RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// `RateLimit`: a list of [`RateLimitStanding`].
pub static RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// How much one may have. Written, it is a member of `RateLimit-Policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimitPolicy<'a> {
    /// What the limit is called: letters, digits and `-`.
    pub name: &'a str,
    /// How much of it there is.
    pub quota: u64,
    /// Of what, unless it is requests.
    pub unit: Option<&'static str>,
    /// In seconds, unless there is no window.
    pub window: Option<u64>,
}

/// How much is left. Written, it is a member of `RateLimit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimitStanding<'a> {
    /// What the limit is called.
    pub name: &'a str,
    /// How much is left of it.
    pub remaining: u64,
    /// In so many seconds there is more, or all of it again.
    pub after: u64,
}

impl fmt::Display for RateLimitPolicy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\";q={}", self.name, self.quota)?;
        if let Some(unit) = self.unit {
            write!(f, ";qu=\"{unit}\"")?;
        }
        if let Some(window) = self.window {
            write!(f, ";w={window}")?;
        }
        Ok(())
    }
}

impl fmt::Display for RateLimitStanding<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\";r={};t={}", self.name, self.remaining, self.after)
    }
}
