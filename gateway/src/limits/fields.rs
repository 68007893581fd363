//! The headers with the state of each limit that counts a request.

use std::{fmt::Write as _, time::Duration};

use http::{HeaderMap, HeaderValue};
use http_api::{RATE_LIMIT, RATE_LIMIT_POLICY, RateLimitPolicy, RateLimitStanding};
use rate_limit::Standing;

use super::limit::Limit;

/// Whole seconds, rounded up, so that a client that waits for this time is let through.
pub(super) fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// Adds the headers for these limits to an answer.
pub(super) fn tell(headers: &mut HeaderMap, limits: &[(&Limit, Standing)]) {
    if limits.is_empty() {
        return;
    }
    let (mut policies, mut standings) = (String::new(), String::new());
    for (index, (limit, standing)) in limits.iter().enumerate() {
        let comma = if index > 0 { ", " } else { "" };
        let policy = RateLimitPolicy {
            name: limit.name.as_str(),
            quota: limit.quota.burst().into(),
            unit: None,
            window: Some(seconds(limit.quota.window()).max(1)),
        };
        let standing = RateLimitStanding {
            name: policy.name,
            remaining: standing.remaining.into(),
            after: seconds(standing.full_after),
        };
        // Writing into a string cannot fail.
        let _ = write!(policies, "{comma}{policy}");
        let _ = write!(standings, "{comma}{standing}");
    }
    for (name, text) in [(&RATE_LIMIT_POLICY, policies), (&RATE_LIMIT, standings)] {
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(name.clone(), value);
        }
    }
}
