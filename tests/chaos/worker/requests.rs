//! Sending requests of a worker until they are answered.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use events::ConsistencyToken;
use rand::RngExt as _;
use reqwest::Method;

use super::{HANG_UP_INTERVAL, LONG_HEADERS_INTERVAL, Request, TIMEOUT, Worker};
use crate::{order::Period, support::Answer};

impl Worker {
    /// Sends a query that must show everything that was acknowledged or shown before.
    pub(super) async fn ask(&mut self, path: &str) -> Answer {
        let mut headers = vec![("Prefer", "wait=2".to_owned())];
        headers.extend(self.latest.map(|token| ("Consistency-Token", token.to_string())));
        let request = Request { method: Method::GET, path: path.to_owned(), body: None, headers };
        let (answer, _) = self.answered(&request).await;
        self.note(&answer);
        answer
    }

    /// The answer to a command with a key. Sometimes the command is sent twice at once, which must make no
    /// difference.
    pub(super) async fn acknowledged(&mut self, request: &Request) -> (Answer, Period) {
        let sent = Instant::now();
        let (first, second) = (self.dice.random(), self.dice.random());
        let answer = if self.dice.random_bool(0.1) {
            let ((one, _), (other, _)) = tokio::join!(self.send(request, first), self.send(request, second));
            assert_eq!(one.status, other.status, "{one:?} {other:?}");
            if one.status.is_success() {
                assert_eq!(one.body, other.body, "one key, two answers");
            }
            one
        } else {
            self.send(request, first).await.0
        };
        let answered = Instant::now();
        self.note(&answer);
        (answer, Period { sent, answered })
    }

    fn note(&mut self, answer: &Answer) {
        if let Ok(token) = answer.header("Consistency-Token").parse::<ConsistencyToken>()
            && self.latest.is_none_or(|latest| latest.position < token.position)
        {
            self.latest = Some(token);
        }
    }

    pub(super) async fn answered(&mut self, request: &Request) -> (Answer, usize) {
        let first = self.dice.random();
        self.send(request, first).await
    }

    /// Sends a request to the gateways in turn until it is answered. Returns how often it was sent.
    async fn send(&self, request: &Request, first: u32) -> (Answer, usize) {
        let what = || format!("{}: {} {}", self.name, request.method, request.path);
        let wait = self.recovery.wait();
        for attempt in 1.. {
            let gateway = &self.gateways[(first as usize + attempt) % self.gateways.len()];
            let hang_up = (attempt == 1 && first.is_multiple_of(HANG_UP_INTERVAL))
                .then(|| Duration::from_micros(u64::from(first / HANG_UP_INTERVAL % 20_000)));
            let long_headers = first % LONG_HEADERS_INTERVAL == 1;
            let outcome = self.try_send(gateway, request, hang_up, long_headers).await;
            if hang_up.is_some() && outcome.is_err() {
                self.hang_ups.fetch_add(1, Ordering::Relaxed);
            }
            match outcome {
                Ok(answer) if !is_open(&answer) => {
                    let status = answer.status.as_u16();
                    assert!(status < 500, "{}: {answer:?}", what());
                    wait.ends(what);
                    return (answer, attempt);
                }
                outcome => wait.goes_on(|| format!("{} does not recover: {outcome:?}", what())),
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        unreachable!("the deadline ends it")
    }

    async fn try_send(
        &self,
        gateway: &str,
        request: &Request,
        hang_up: Option<Duration>,
        long_headers: bool,
    ) -> Result<Answer, reqwest::Error> {
        let url = format!("{gateway}{}", request.path);
        let mut sending =
            self.person.http.request(request.method.clone(), url).timeout(hang_up.unwrap_or(TIMEOUT));
        if long_headers {
            let tail = "\"".repeat(8_000);
            sending = sending
                .header(
                    "traceparent",
                    format!("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-{tail}"),
                )
                .header("X-Request-Id", "r".repeat(128));
        }
        sending = sending.bearer_auth(&self.person.token);
        if let Some(body) = &request.body {
            sending = sending.json(body);
        }
        for (name, value) in &request.headers {
            sending = sending.header(*name, value);
        }
        Answer::read(sending.send().await?).await
    }
}

/// Returns whether the request should be repeated: a dependency is down for the request or for a part of the batch.
fn is_open(answer: &Answer) -> bool {
    let results = answer.body["results"].as_array().into_iter().flatten();
    answer.status == 503 || results.into_iter().any(|result| result["status"] == 503)
}
