//! Reading one's own writes: a request that carries a `Consistency-Token` waits until the read models have
//! come that far, at most as long as `Prefer: wait` says (RFC 7240), and every answer carries one.

use std::time::Duration;

use events::{ConsistencyToken, UserId};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use http_api::{BadParameter, CONSISTENCY_TOKEN};
use tokio::time::Instant;

use super::CACHE_CONTROL;
use crate::{app::App, checkpoints::Reached, error::ApiError};

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const PREFER: HeaderName = HeaderName::from_static("prefer");
const DEFAULT_WAIT_SECONDS: u64 = 2;
const LONGEST_WAIT_SECONDS: u64 = 10;

/// What a request wants to see at least, and how long it is ready to wait for it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AtLeast {
    tokens: Vec<ConsistencyToken>,
    /// `Prefer: wait`, as far as it is honoured.
    preferred_wait: Option<u64>,
    /// `Prefer: handling=lenient`: a state that the log has lost is passed over. The gateway says so with a token that it
    /// remembers for its caller, who did not ask for that state and could not stop asking for it.
    is_lenient: bool,
}

/// What a response shows at least.
#[derive(Debug)]
pub(crate) struct Shown {
    token: ConsistencyToken,
    applied: Option<HeaderValue>,
}

impl AtLeast {
    /// Reads the headers. More than one token means all of them: the gateway may add one to the client's.
    ///
    /// # Errors
    /// When a token is malformed. A malformed preference is as good as none (RFC 7240, section 2).
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, BadParameter> {
        let tokens = headers
            .get_all(&CONSISTENCY_TOKEN)
            .iter()
            .flat_map(|value| value.to_str().unwrap_or("?").split(','))
            .map(|token| token.trim().parse())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error: events::ParseConsistencyTokenError| {
                BadParameter::new("Consistency-Token", error.to_string())
            })?;
        let preferred_wait = if tokens.is_empty() {
            None
        } else {
            preferred_wait(headers)
        };
        Ok(Self {
            tokens,
            preferred_wait,
            is_lenient: preferences(headers, "handling").any(|value| value.eq_ignore_ascii_case("lenient")),
        })
    }

    /// Waits for it.
    ///
    /// # Errors
    /// When it is not there in time.
    pub(crate) async fn reached(&self, app: &App, caller: UserId) -> Result<Shown, ApiError> {
        if !self.tokens.is_empty() {
            let timer = app.waiting.seconds.start_timer();
            let reached = self.wait(app).await;
            timer.observe_duration();
            reached?;
        }
        // Taken before any row is read, so that it never promises more than the rows show.
        Ok(Shown {
            token: app.checkpoints.state_of(caller),
            applied: self.applied(),
        })
    }

    async fn wait(&self, app: &App) -> Result<(), ApiError> {
        let seconds = self.preferred_wait.unwrap_or(DEFAULT_WAIT_SECONDS);
        let deadline = Instant::now() + Duration::from_secs(seconds);
        for token in &self.tokens {
            let left = deadline.saturating_duration_since(Instant::now());
            let is_lost = match app.checkpoints.reach(*token, left).await? {
                Reached::There => continue,
                Reached::Lost => true,
                Reached::Behind => false,
            };
            if is_lost {
                app.waiting.lost.inc();
                if self.is_lenient {
                    // What there is now is the best answer, and its token says how far that goes.
                    continue;
                }
            }
            app.waiting.behind.inc();
            return Err(ApiError::ProjectionBehind {
                waited: seconds,
                is_lost,
                applied: self.applied(),
            });
        }
        Ok(())
    }

    fn applied(&self) -> Option<HeaderValue> {
        // Digits are always a header value.
        self.preferred_wait
            .and_then(|seconds| HeaderValue::try_from(format!("wait={seconds}")).ok())
    }
}

impl Shown {
    /// Everything about the caller up to here is shown.
    pub(crate) const fn position(&self) -> u64 {
        self.token.position
    }

    /// The headers of every answer to a query.
    pub(crate) fn headers(self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::CACHE_CONTROL, CACHE_CONTROL);
        // Digits and letters are always a header value.
        if let Ok(token) = HeaderValue::try_from(self.token.to_string()) {
            headers.insert(CONSISTENCY_TOKEN.clone(), token);
        }
        if let Some(applied) = self.applied {
            headers.insert(PREFERENCE_APPLIED, applied);
        }
        headers
    }
}

/// The values of the preferences of this name.
fn preferences<'h>(headers: &'h HeaderMap, wanted: &'static str) -> impl Iterator<Item = &'h str> {
    let lines = headers.get_all(PREFER).iter();
    let preferences = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    preferences.filter_map(move |preference| {
        // Parameters after a semicolon mean nothing here.
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        let value = value.trim();
        let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        name.trim()
            .eq_ignore_ascii_case(wanted)
            .then_some(unquoted.unwrap_or(value))
    })
}

/// The seconds of the first `wait` preference, at most ten.
fn preferred_wait(headers: &HeaderMap) -> Option<u64> {
    let digits = preferences(headers, "wait").next()?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // All digits, so it fails only for being too long.
    Some(digits.parse().unwrap_or(u64::MAX).min(LONGEST_WAIT_SECONDS))
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
            assert_eq!(
                preferred_wait(&headers(&[("prefer", preference)])),
                wait,
                "{preference}"
            );
        }
        assert_eq!(
            preferred_wait(&headers(&[("prefer", "return=minimal"), ("prefer", "wait=4")])),
            Some(4)
        );
    }

    #[test]
    fn tokens_are_all_waited_for_and_a_malformed_one_is_refused() {
        let of = |lines: &[(&'static str, &'static str)]| AtLeast::of(&headers(lines));
        assert_eq!(
            of(&[("prefer", "wait=3")]),
            Ok(AtLeast {
                tokens: vec![],
                preferred_wait: None,
                is_lenient: false,
            })
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
        let two = of(&[
            ("consistency-token", "0000abcd-7"),
            ("consistency-token", "0000abcd-9"),
        ])
        .unwrap();
        assert_eq!(
            two.tokens.iter().map(|token| token.position).collect::<Vec<_>>(),
            [7, 9]
        );
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
