//! The format of the policy file, and its validation.

use std::time::Duration;

use http::Method;
use http_api::Peers;
use rate_limit::Quota;
use serde::Deserialize;

use super::{Policy, origins::Origins};
use crate::{
    limits::{By, Limit, Limits, Name, RoutePattern},
    routes,
};

/// The highest limit for requests without a token: this many a second, and this many seconds' worth at once. A higher
/// value is probably a mistake, and would not limit anything.
const MAX_ANONYMOUS: (u32, u32) = (20_000, 10);
/// The most limits. Each is checked for each request.
const MAX_LIMITS: usize = 32;
/// The most running requests of a caller, which is the maximum of a gateway.
const MAX_IN_FLIGHT: u32 = 4_096;
/// The most origins. Each is checked for each request, too.
const MAX_ORIGINS: usize = 64;

/// The file is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct InvalidPolicy(pub(super) String);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    trusted_proxies: Vec<String>,
    #[serde(default)]
    allowed_origins: Vec<String>,
    #[serde(default = "in_flight_per_caller")]
    in_flight_per_caller: u32,
    #[serde(default)]
    unauthenticated: Rate,
    #[serde(default)]
    limit: Vec<LimitOf>,
}

/// The default: an eighth of the gateway's maximum, and the most that the command API accepts from one person.
fn in_flight_per_caller() -> u32 {
    512
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rate {
    requests: u32,
    per_seconds: u32,
    burst: Option<u32>,
}

impl Default for Rate {
    /// The default limit for requests without a token.
    fn default() -> Self {
        Self { requests: 500, per_seconds: 1, burst: Some(3_000) }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitOf {
    name: String,
    by: By,
    routes: Vec<String>,
    requests: u32,
    per_seconds: u32,
    burst: Option<u32>,
}

/// The place of a mistake, and what it is.
fn in_one_line(error: &toml::de::Error, text: &str) -> InvalidPolicy {
    let what = error.message().lines().next().unwrap_or("it is not TOML");
    let before = error.span().and_then(|span| text.get(..span.start));
    InvalidPolicy(match before {
        Some(before) => {
            let line = before.matches('\n').count() + 1;
            let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
            format!("line {line}, column {column}: {what}")
        }
        None => what.to_owned(),
    })
}

/// Parses the text of the file.
pub(super) fn parse(text: &str) -> Result<Policy, InvalidPolicy> {
    let file: File = toml::from_str(text).map_err(|error| in_one_line(&error, text))?;
    let trusted_proxies = Peers::parse(file.trusted_proxies.iter().map(String::as_str))
        .map_err(|error| InvalidPolicy(format!("trusted_proxies: {error}")))?;
    if file.allowed_origins.len() > MAX_ORIGINS {
        return Err(InvalidPolicy(format!("at most {MAX_ORIGINS} origins can be allowed")));
    }
    let origins = Origins::parse(file.allowed_origins.iter().map(String::as_str))
        .map_err(|error| InvalidPolicy(format!("allowed_origins: {error}")))?;
    let in_flight_per_caller = file.in_flight_per_caller;
    if !(1..=MAX_IN_FLIGHT).contains(&in_flight_per_caller) {
        return Err(InvalidPolicy(format!("in_flight_per_caller is a number from 1 to {MAX_IN_FLIGHT}")));
    }
    if file.limit.len() > MAX_LIMITS {
        return Err(InvalidPolicy(format!("at most {MAX_LIMITS} limits can be set")));
    }
    let mut limits = vec![anonymous(file.unauthenticated)?];
    for limit in file.limit {
        let limit = limit.read()?;
        if limits.iter().any(|known| known.name == limit.name) {
            return Err(InvalidPolicy(format!("two limits are called `{}`", limit.name)));
        }
        limits.push(limit);
    }
    Ok(Policy { trusted_proxies, origins, in_flight_per_caller, limits: Limits(limits) })
}

/// The limit that always exists.
fn anonymous(rate: Rate) -> Result<Limit, InvalidPolicy> {
    const NAME: &str = "unauthenticated";
    let quota = rate.quota(NAME)?;
    let (a_second, seconds) = MAX_ANONYMOUS;
    let fastest = Duration::from_secs(1) / a_second;
    if quota.burst() > a_second * seconds || quota.window() / quota.burst() < fastest {
        return Err(InvalidPolicy(format!(
            "{NAME}: at most {a_second} requests a second, and {} at once",
            a_second * seconds
        )));
    }
    Ok(Limit::new(name(NAME)?, By::Anonymous, vec![route("*")?], quota))
}

impl Rate {
    fn quota(self, of: &str) -> Result<Quota, InvalidPolicy> {
        let burst = self.burst.unwrap_or(self.requests);
        if self.requests == 0 || self.per_seconds == 0 || burst == 0 {
            return Err(InvalidPolicy(format!("{of}: requests, per_seconds and burst are at least 1")));
        }
        let per = Duration::from_secs(self.per_seconds.into());
        Ok(Quota::new(self.requests, per, burst))
    }
}

impl LimitOf {
    fn read(self) -> Result<Limit, InvalidPolicy> {
        let rate = Rate { requests: self.requests, per_seconds: self.per_seconds, burst: self.burst };
        if self.routes.is_empty() {
            return Err(InvalidPolicy(format!("{}: routes names no route", self.name)));
        }
        let routes = self.routes.iter().map(|text| route(text));
        let routes = routes.collect::<Result<_, _>>()?;
        Ok(Limit::new(name(&self.name)?, self.by, routes, rate.quota(&self.name)?))
    }
}

fn name(text: &str) -> Result<Name, InvalidPolicy> {
    Name::new(text)
        .ok_or_else(|| InvalidPolicy(format!("`{text}` is not a name: expected up to 32 of a-z, 0-9 and -")))
}

/// Parses a method and a path, or a path alone.
fn route(text: &str) -> Result<RoutePattern, InvalidPolicy> {
    let (method, path) = match text.split_once(' ') {
        Some((method, path)) => (Some(method), path),
        None => (None, text),
    };
    let method = method
        .map(|method| Method::from_bytes(method.as_bytes()))
        .transpose()
        .map_err(|_| InvalidPolicy(format!("`{text}` does not begin with a method")))?;
    let pattern = RoutePattern { method, path: path.to_owned() };
    if path != "*" && !routes::paths().any(|path| pattern.covers(Some(path))) {
        return Err(InvalidPolicy(format!("no route is called `{path}`")));
    }
    Ok(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::in_force::DEFAULT;

    fn refused(text: &str) -> String {
        parse(text).unwrap_err().0
    }

    #[test]
    fn the_default_can_be_read_and_says_what_is_built_in() {
        let policy = parse(DEFAULT).unwrap();
        assert_eq!(policy.limits.0[0], parse("").unwrap().limits.0[0]);
        assert_eq!(policy.trusted_proxies, Peers::default());
        assert_eq!(policy.origins, Origins::default());
        assert_eq!(policy.in_flight_per_caller, in_flight_per_caller());
        assert!(policy.limits.0.len() > 3);
    }

    #[test]
    fn the_limit_without_a_token_cannot_be_left_out_or_opened() {
        assert_eq!(parse("").unwrap().limits.0[0].by, By::Anonymous);
        for open in [
            "requests = 4000000000\nper_seconds = 1",
            "requests = 1\nper_seconds = 1\nburst = 4000000000",
            "requests = 0\nper_seconds = 1",
            "requests = 10\nper_seconds = 0",
        ] {
            refused(&format!("[unauthenticated]\n{open}"));
        }
        let again = "[[limit]]\nname = \"unauthenticated\"\nby = \"user\"\nroutes = [\"*\"]\nrequests = 1\nper_seconds = 1";
        assert!(refused(again).contains("two limits"));
    }

    #[test]
    fn slips_are_refused_in_a_sentence() {
        let limit = |field: &str, value: &str| {
            let mut fields = vec![
                ("name", "\"mine\""),
                ("by", "\"user\""),
                ("routes", "[\"GET /tasks\"]"),
                ("requests", "1"),
                ("per_seconds", "60"),
            ];
            fields.retain(|(name, _)| *name != field);
            fields.push((field, value));
            let lines: Vec<String> = fields.iter().map(|(name, value)| format!("{name} = {value}")).collect();
            format!("[[limit]]\n{}", lines.join("\n"))
        };
        assert!(parse(&limit("burst", "5")).is_ok());
        for (field, value, reason) in [
            ("routes", "[\"GET /taks\"]", "no route is called `/taks`"),
            ("routes", "[]", "names no route"),
            ("name", "\"My limit\"", "is not a name"),
            ("by", "\"planet\"", "planet"),
            ("requests", "0", "at least 1"),
            ("requests", "-1", "-1"),
            ("burts", "1", "burts"),
        ] {
            let text = refused(&limit(field, value));
            assert!(text.contains(reason), "{text}");
        }
        assert!(refused("trusted_proxies = [\"10.0.0.0/99\"]").contains("10.0.0.0/99"));
        assert!(refused("in_flight_per_caller = 0").contains("from 1 to 4096"));
        assert!(refused("allowed_origins = [\"*\"]").contains("`*` is not an origin"));
    }
}
