//! The headers with the limits of a client and what is left of them
//! ([draft-ietf-httpapi-ratelimit-headers-10](https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-ratelimit-headers-10)):
//! structured fields, each a list of the names of limits with parameters.

use std::fmt;

use http::HeaderName;

/// `RateLimit-Policy`: a list of [`RateLimitPolicy`].
pub static RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// `RateLimit`: a list of [`RateLimitStanding`].
pub static RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// A limit. Written, it is a member of `RateLimit-Policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimitPolicy<'a> {
    /// The name of the limit: letters, digits and `-`.
    pub name: &'a str,
    /// The quota.
    pub quota: u64,
    /// The unit of the quota, if it is not requests.
    pub unit: Option<&'static str>,
    /// The window in seconds, if there is one.
    pub window: Option<u64>,
}

/// What is left of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimitStanding<'a> {
    /// The name of the limit.
    pub name: &'a str,
    /// The remaining quota.
    pub remaining: u64,
    /// After this many seconds more is available, or all of it.
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

impl RateLimitStanding<'_> {
    /// The member of `RateLimit`. Formatting it would cost several times as much, and nearly every answer has one.
    pub fn text(&self) -> String {
        let (remaining, after) = (self.remaining.to_string(), self.after.to_string());
        ["\"", self.name, "\";r=", &remaining, ";t=", &after].concat()
    }
}
