//! The headers with the state of each limit that counts a request.

use http::{HeaderMap, HeaderValue};
use http_api::{RATE_LIMIT, RATE_LIMIT_POLICY, RateLimitStanding};
use rate_limit::Standing;

use super::limit::{Limit, seconds};

/// Adds the headers for these limits to an answer.
pub(super) fn tell(headers: &mut HeaderMap, limits: &[(&Limit, Standing)]) {
    if limits.is_empty() {
        return;
    }
    let (mut policies, mut standings) = (String::new(), String::new());
    for (index, (limit, standing)) in limits.iter().enumerate() {
        let comma = if index > 0 { ", " } else { "" };
        let standing = RateLimitStanding {
            name: limit.name.as_str(),
            remaining: standing.remaining.into(),
            after: seconds(standing.full_after),
        };
        policies.push_str(comma);
        policies.push_str(&limit.policy);
        standings.push_str(comma);
        standings.push_str(&standing.text());
    }
    for (name, text) in [(&RATE_LIMIT_POLICY, policies), (&RATE_LIMIT, standings)] {
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(name.clone(), value);
        }
    }
}
