//! One limit: whom it counts, on which routes, and how much it allows.

use std::{fmt, sync::Arc, time::Duration};

use http::Method;
use http_api::RateLimitPolicy;
use rate_limit::Quota;
use serde::Deserialize;

/// Whom a limit counts separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum By {
    /// Each address (of IPv6 each network of 64 bits), for all requests from there.
    Address,
    /// The same, for requests without a token that was issued here. No limit of the file is such a one.
    #[serde(skip)]
    Anonymous,
    /// Each account with a token.
    User,
    /// Each e-mail address in a login or registration.
    Account,
}

/// The name of a limit in headers, logs and metrics: up to 32 of `a-z`, `0-9` and `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name(Arc<str>);

impl Name {
    pub(crate) fn new(text: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_name = (1..=32).contains(&text.len()) && text.bytes().all(is_plain);
        is_name.then(|| Self(text.into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The requests that a limit counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RoutePattern {
    /// The method; `None` means any. `GET` includes `HEAD`.
    pub(crate) method: Option<Method>,
    /// A path of `ROUTES`, `/…/*` for all below one, or `*` for all requests, including unknown paths.
    pub(crate) path: String,
}

impl RoutePattern {
    /// Whether it counts requests with this method to this path of `ROUTES`, if to any of them.
    pub(crate) fn counts(&self, method: &Method, path: Option<&str>) -> bool {
        let asked = if method == Method::HEAD { &Method::GET } else { method };
        self.method.as_ref().is_none_or(|counted| counted == asked) && self.covers(path)
    }

    /// Whether it counts requests to this path.
    pub(crate) fn covers(&self, path: Option<&str>) -> bool {
        match (self.path.strip_suffix('*'), path) {
            (Some(""), _) => true,
            (_, None) => false,
            (Some(prefix), Some(path)) => path.starts_with(prefix),
            (None, Some(path)) => path == self.path,
        }
    }
}

/// Whole seconds, rounded up, so that a client that waits for this time is let through.
pub(super) fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) name: Name,
    pub(crate) by: By,
    pub(crate) routes: Vec<RoutePattern>,
    pub(crate) quota: Quota,
    /// Its member of `RateLimit-Policy`.
    pub(crate) policy: String,
}

impl Limit {
    pub(crate) fn new(name: Name, by: By, routes: Vec<RoutePattern>, quota: Quota) -> Self {
        let policy = RateLimitPolicy {
            name: name.as_str(),
            quota: quota.burst().into(),
            unit: None,
            window: Some(seconds(quota.window()).max(1)),
        };
        Self { policy: policy.to_string(), name, by, routes, quota }
    }

    fn counts(&self, method: &Method, path: Option<&str>) -> bool {
        self.routes.iter().any(|route| route.counts(method, path))
    }

    /// Whether it counts all requests, whatever they ask for.
    pub(super) fn counts_all_requests(&self) -> bool {
        let mut routes = self.routes.iter();
        routes.any(|route| route.method.is_none() && route.path == "*")
    }
}

/// All limits. A request must be allowed by each one that counts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limits(pub(crate) Vec<Limit>);

impl Limits {
    /// The limits that count requests with this method to this path.
    pub(crate) fn of<'a>(
        &'a self,
        method: &'a Method,
        path: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Limit> {
        self.0.iter().filter(move |limit| limit.counts(method, path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(method: Option<Method>, path: &str) -> RoutePattern {
        RoutePattern { method, path: path.to_owned() }
    }

    #[test]
    fn a_pattern_names_a_path_those_below_one_or_all() {
        let one = pattern(Some(Method::GET), "/tasks/{id}");
        assert!(
            one.counts(&Method::GET, Some("/tasks/{id}")) && one.counts(&Method::HEAD, Some("/tasks/{id}"))
        );
        assert!(!one.counts(&Method::POST, Some("/tasks/{id}")) && !one.counts(&Method::GET, Some("/tasks")));
        let below = pattern(None, "/auth/*");
        assert!(below.counts(&Method::POST, Some("/auth/login")) && !below.counts(&Method::POST, None));
        let all = pattern(None, "*");
        assert!(all.counts(&Method::POST, Some("/auth/login")) && all.counts(&Method::PUT, None));
    }

    #[test]
    fn a_name_is_plain() {
        assert!(Name::new("log-in-2").is_some());
        for bad in ["", "Log", "a b", "a\"b", &"a".repeat(33)] {
            assert!(Name::new(bad).is_none(), "{bad}");
        }
    }
}
