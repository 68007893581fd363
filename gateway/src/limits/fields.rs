//! The headers that tell a client how it stands (draft-ietf-httpapi-ratelimit-headers-10): structured fields, each a list
//! of the names of limits with parameters.

use std::{fmt::Write as _, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};
use rate_limit::Standing;

use super::limit::Limit;

pub(super) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub(super) const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Whole seconds, rounded up: who waits that long has waited long enough.
pub(super) fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// Tells of these limits in an answer.
pub(super) fn tell(headers: &mut HeaderMap, limits: &[(&Limit, Standing)]) {
    if limits.is_empty() {
        return;
    }
    let (mut policies, mut standings) = (String::new(), String::new());
    for (index, (limit, standing)) in limits.iter().enumerate() {
        let comma = if index > 0 { ", " } else { "" };
        let (burst, window) = (limit.quota.burst(), seconds(limit.quota.window()).max(1));
        let (left, full_after) = (standing.remaining, seconds(standing.full_after));
        // Writing into a string cannot fail.
        let _ = write!(policies, "{comma}\"{}\";q={burst};w={window}", limit.name);
        let _ = write!(standings, "{comma}\"{}\";r={left};t={full_after}", limit.name);
    }
    for (name, text) in [(RATE_LIMIT_POLICY, policies), (RATE_LIMIT, standings)] {
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(name, value);
        }
    }
}
