//! Reading one's own writes, as headers: a request names states in `Consistency-Token`, and how long it will wait for
//! them in `Prefer: wait` (RFC 7240). Waiting itself is done elsewhere.

use std::time::Duration;

use api_types::ProblemCode;
use events::ConsistencyToken;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{
    headers::{CONSISTENCY_TOKEN, members},
    parameters::BadParameter,
    problem::Problem,
};

/// `Consistency-Token` as people read it.
const TOKEN: &str = "Consistency-Token";
pub(crate) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const PREFER: HeaderName = HeaderName::from_static("prefer");
const DEFAULT_WAIT_SECONDS: u64 = 2;
const MAX_WAIT_SECONDS: u64 = 10;
/// The most tokens in one request. A client needs one for each command whose effect it wants to see, and the latest
/// of its own is enough.
const MAX_TOKENS: usize = 16;

/// The value of the header `Consistency-Token`.
pub fn consistency_token(token: ConsistencyToken) -> HeaderValue {
    // Digits, letters and hyphens are always a valid header value.
    HeaderValue::try_from(token.to_string()).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// The states that a request wants to see, and how long it will wait for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtLeast {
    /// The states, 16 at most.
    pub tokens: Vec<ConsistencyToken>,
    /// `Prefer: handling=lenient`: a state that the log has lost is ignored. The gateway sends it with a token that
    /// it remembers for its caller, who did not send that token and could not stop it.
    pub is_lenient: bool,
    /// `Prefer: wait`, as far as it is honoured.
    preferred_wait: Option<u64>,
}

impl AtLeast {
    /// Reads the headers. More than one token means all of them: the gateway may add one to the client's.
    ///
    /// # Errors
    /// When a token is malformed, or there are too many. A malformed preference is ignored (RFC 7240, section 2).
    pub fn of(headers: &HeaderMap) -> Result<Self, BadParameter> {
        let tokens =
            members(headers, &CONSISTENCY_TOKEN).map(str::parse).collect::<Result<Vec<_>, _>>().map_err(
                |error: events::ParseConsistencyTokenError| BadParameter::new(TOKEN, error.to_string()),
            )?;
        if tokens.len() > MAX_TOKENS {
            let detail = format!("expected at most {MAX_TOKENS} tokens, found {}", tokens.len());
            return Err(BadParameter::new(TOKEN, detail));
        }
        let preferred_wait = if tokens.is_empty() { None } else { preferred_wait(headers) };
        Ok(Self {
            tokens,
            preferred_wait,
            is_lenient: preferences(headers, "handling").any(|value| value.eq_ignore_ascii_case("lenient")),
        })
    }

    /// How long to wait: 2 seconds unless the request says otherwise, 10 at most.
    pub fn wait(&self) -> Duration {
        Duration::from_secs(self.preferred_wait.unwrap_or(DEFAULT_WAIT_SECONDS))
    }

    /// `503 projection-behind`: the state was not there in time, or `is_lost` and will never be.
    pub fn behind(&self, is_lost: bool) -> Problem {
        let detail = match is_lost {
            true => "The log does not have it, as after a restore: ask without the token.".to_owned(),
            false => {
                format!("It was not reached within {} s. Nothing is lost: ask again.", self.wait().as_secs())
            }
        };
        let problem = Problem::new(ProblemCode::ProjectionBehind).detail(detail).retry_after(1);
        match self.preference_applied() {
            Some(applied) => problem.header(PREFERENCE_APPLIED, applied),
            None => problem,
        }
    }

    /// `503 projection-behind`: the read models are being filled from the log, of which they have so much.
    pub fn catching_up(percent: u64) -> Problem {
        Problem::new(ProblemCode::ProjectionBehind)
            .detail(format!(
                "The read models are being filled from the log, of which they have {percent} %. Nothing is lost: ask again."
            ))
            .retry_after(5)
    }

    /// The headers of an answer that shows at least `state`: `Consistency-Token`, and `Preference-Applied` if that was
    /// asked.
    pub fn shown(&self, state: ConsistencyToken) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(&CONSISTENCY_TOKEN, consistency_token(state));
        if let Some(applied) = self.preference_applied() {
            headers.insert(PREFERENCE_APPLIED, applied);
        }
        headers
    }

    fn preference_applied(&self) -> Option<HeaderValue> {
        // Digits are always a header value.
        self.preferred_wait.and_then(|seconds| HeaderValue::try_from(format!("wait={seconds}")).ok())
    }
}

/// The values of the preferences of this name.
fn preferences<'h>(headers: &'h HeaderMap, wanted: &'static str) -> impl Iterator<Item = &'h str> {
    members(headers, &PREFER).filter_map(move |preference| {
        // Parameters after a semicolon are ignored.
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        let value = value.trim();
        let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        name.trim().eq_ignore_ascii_case(wanted).then_some(unquoted.unwrap_or(value))
    })
}

/// The seconds of the first `wait` preference, at most ten.
fn preferred_wait(headers: &HeaderMap) -> Option<u64> {
    let digits = preferences(headers, "wait").next()?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // All digits, so it fails only for being too long.
    Some(digits.parse().unwrap_or(u64::MAX).min(MAX_WAIT_SECONDS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_wait_preference_is_a_number_of_seconds_up_to_ten() {
        for (preference, wait) in [
            ("wait=5", Some(5)),
            ("respond-async, WAIT = 3 ; foo=bar", Some(3)),
            ("wait=\"7\"", Some(7)),
            ("wait=0", Some(0)),
            ("wait=11", Some(10)),
            ("wait=99999999999999999999999", Some(10)),
            ("wait=1, wait=9", Some(1)),
            ("wait", None),
            ("wait=", None),
            ("wait=-1", None),
            ("wait=+1", None),
            ("wait=1.5", None),
            ("wait=soon", None),
            ("waiting=1", None),
            ("return=minimal", None),
        ] {
            assert_eq!(preferred_wait(&headers(&[("prefer", preference)])), wait, "{preference}");
        }
        assert_eq!(preferred_wait(&headers(&[("prefer", "return=minimal"), ("prefer", "wait=4")])), Some(4));
    }

    #[test]
    fn tokens_are_all_waited_for_and_a_malformed_one_is_refused() {
        let of = |lines: &[(&'static str, &'static str)]| AtLeast::of(&headers(lines));
        assert_eq!(
            of(&[("prefer", "wait=3")]),
            Ok(AtLeast { tokens: vec![], preferred_wait: None, is_lenient: false })
        );
        for (preference, is_lenient) in [
            ("handling=lenient", true),
            ("wait=1, Handling = \"Lenient\"; a=b", true),
            ("handling=strict", false),
            ("lenient", false),
        ] {
            let one = of(&[("consistency-token", "0000abcd-7"), ("prefer", preference)]).unwrap();
            assert_eq!(one.is_lenient, is_lenient, "{preference}");
        }
        let two = of(&[("consistency-token", "0000abcd-7"), ("consistency-token", "0000abcd-9")]).unwrap();
        assert_eq!(two.tokens.iter().map(|token| token.position).collect::<Vec<_>>(), [7, 9]);
        let many = |tokens: usize| {
            let lines = vec![("consistency-token", "0000abcd-7, 0000abcd-8"); tokens / 2];
            of(&lines)
        };
        assert_eq!(many(MAX_TOKENS).unwrap().tokens.len(), MAX_TOKENS);
        assert_eq!(many(MAX_TOKENS + 2).unwrap_err().name, TOKEN);
        for token in [
            "",
            "7",
            "abcd-7",
            "0000abcd-",
            "0000abcd--1",
            "0000abcd-99999999999999999999",
            "zzzzzzzz-1",
            "*",
        ] {
            let error = of(&[("consistency-token", token)]).unwrap_err();
            assert_eq!(error.name, "Consistency-Token", "{token}");
        }
    }
}
