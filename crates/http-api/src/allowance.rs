//! How much of something one person may have, and the answer to whoever has used it up
//! ([draft-ietf-httpapi-ratelimit-headers-10](https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-ratelimit-headers-10)).

use api_types::ProblemCode;
use http::{HeaderName, HeaderValue};

use crate::Problem;

/// How much of something one person may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// `RateLimit-Policy`: what it is called, and how much it is.
    pub policy: &'static str,
    /// `RateLimit`: that nothing of it is left.
    pub none_left: &'static str,
    /// In seconds.
    pub retry_after: u64,
}

impl Problem {
    /// `429 rate-limited` with the three headers that say which allowance is used up. The caller adds what to do.
    #[must_use]
    pub fn used_up(allowance: Allowance) -> Self {
        Self::new(ProblemCode::RateLimited)
            .retry_after(allowance.retry_after)
            .header(
                HeaderName::from_static("ratelimit-policy"),
                HeaderValue::from_static(allowance.policy),
            )
            .header(
                HeaderName::from_static("ratelimit"),
                HeaderValue::from_static(allowance.none_left),
            )
    }
}
