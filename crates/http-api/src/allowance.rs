//! The allowance of one person, and the answer when it is used up.

use api_types::ProblemCode;
use http::HeaderValue;

use crate::{
    Problem,
    rate_limit_fields::{RATE_LIMIT, RATE_LIMIT_POLICY, RateLimitPolicy, RateLimitStanding},
};

/// How much of a resource one person may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// `RateLimit-Policy`
    pub policy: RateLimitPolicy<'static>,
    /// When to ask again, in seconds.
    pub retry_after: u64,
}

impl Allowance {
    /// An allowance of `quota` requests of one person at the same time.
    pub(crate) const fn at_once(name: &'static str, quota: u64) -> Self {
        Self {
            policy: RateLimitPolicy { name, quota, unit: Some("concurrent-requests"), window: None },
            retry_after: 1,
        }
    }
}

impl Problem {
    /// `429 rate-limited` with the three headers that describe the allowance. The caller adds the advice.
    pub fn used_up(allowance: Allowance) -> Self {
        let Allowance { policy, retry_after } = allowance;
        let standing = RateLimitStanding { name: policy.name, remaining: 0, after: retry_after };
        let problem = Self::new(ProblemCode::RateLimited).retry_after(retry_after);
        let fields = [(&RATE_LIMIT_POLICY, policy.to_string()), (&RATE_LIMIT, standing.text())];
        fields.into_iter().fold(problem, |problem, (name, text)| {
            // A name of letters and numbers are always valid in a header.
            match HeaderValue::try_from(text) {
                Ok(value) => problem.header(name.clone(), value),
                Err(_) => problem,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headers_name_the_allowance_and_when_there_is_room() {
        let fields = |allowance: Allowance| {
            let problem = Problem::used_up(allowance);
            let response = axum::response::IntoResponse::into_response(problem);
            ["ratelimit-policy", "ratelimit", "retry-after"].map(|name| {
                let value = response.headers().get(name);
                value.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
            })
        };
        assert_eq!(
            fields(Allowance::at_once("batches", 2)),
            ["\"batches\";q=2;qu=\"concurrent-requests\"", "\"batches\";r=0;t=1", "1"]
        );
        let keys = Allowance {
            policy: RateLimitPolicy {
                name: "keys",
                quota: 7,
                unit: Some("content-bytes"),
                window: Some(86_400),
            },
            retry_after: 600,
        };
        assert_eq!(fields(keys), ["\"keys\";q=7;qu=\"content-bytes\";w=86400", "\"keys\";r=0;t=600", "600"]);
        let plain = Allowance { policy: RateLimitPolicy { unit: None, window: None, ..keys.policy }, ..keys };
        assert_eq!(fields(plain)[0], "\"keys\";q=7");
    }
}
