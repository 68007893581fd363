//! The replicas of one role over HTTP: chooses one for each request, and another one when the first did not accept
//! it.

use std::{
    cmp::Reverse,
    mem,
    pin::{Pin, pin},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use axum::{body::Body, response::Response};
use futures::{StreamExt as _, future::join_all, stream::FuturesUnordered};
use http::request::Parts;
use http_api::AtLeast;
use prometheus::{Histogram, IntCounter};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{
    address::addresses,
    affinity::CallerKey,
    client::Client,
    metrics::UpstreamMetrics,
    repeatable::{COMMAND_API, is_repeatable},
    replayable_body::{ReplayableBody, overdue},
    replica::Replica,
    retry_budget::{self, RetryBudget},
};
use crate::error::ForwardError;

/// No request is sent again later than this after it arrived.
const RETRY_TIMEOUT: Duration = Duration::from_secs(10);
/// The time that a replica has for its answer beyond the `Prefer: wait` of the request, when another one could be
/// asked.
const EXTRA_WAIT: Duration = Duration::from_secs(1);

/// The replicas of one role.
pub(super) struct Replicas {
    role: &'static str,
    replicas: Vec<Replica>,
    turn: AtomicUsize,
    budget: RetryBudget,
    retries: IntCounter,
    without_budget: IntCounter,
    duration: Histogram,
}

impl Replicas {
    pub(super) fn new(
        role: &'static str,
        urls: &[Url],
        client: &Client,
        metrics: &UpstreamMetrics,
    ) -> anyhow::Result<Self> {
        let replicas = addresses(role, urls, client.believes_somebody)?
            .into_iter()
            .map(|address| Replica::new(role, address, client, metrics))
            .collect();
        Ok(Self {
            role,
            replicas,
            turn: AtomicUsize::new(0),
            budget: RetryBudget::new(Instant::now()),
            retries: metrics.retries.with_label_values(&[role, "sent"]),
            without_budget: metrics.retries.with_label_values(&[role, "no_budget"]),
            duration: metrics.duration.with_label_values(&[role]),
        })
    }

    /// Forwards one request, to another replica when the first one did not accept it. Takes the headers.
    pub(super) async fn send(&self, parts: &mut Parts, body: Body) -> Result<Response, ForwardError> {
        let started = Instant::now();
        let repeatable = is_repeatable(self.role, parts, &body);
        let body = match repeatable {
            true => ReplayableBody::kept(body),
            false => ReplayableBody::new(body),
        };
        self.budget.pay_in();
        let may_repeat = || repeatable && body.is_whole() && started.elapsed() < RETRY_TIMEOUT;
        let mut failure = ForwardError::LeftAlone;
        let mut given_up: Option<GivenUp<'_>> = None;
        let order = self.in_order(parts, started);
        for (index, replica) in order.iter().enumerate() {
            if is_sent(&failure) {
                self.retries.inc();
                sleep(retry_budget::pause()).await;
            }
            let could_go_elsewhere = order.get(index + 1).is_some_and(|next| next.is_ready());
            let is_ready = replica.is_ready();
            let patience = match is_ready {
                true if could_go_elsewhere && given_up.is_none() => Some(patience(parts)),
                true => None,
                // Ready replicas come first, so no other one is ready either.
                false => Some(patience(parts) + EXTRA_WAIT),
            };
            let patience = patience.filter(|_| repeatable);
            let may_leave = || !is_ready || (may_repeat() && self.may_send_again());
            let is_last = index + 1 == order.len();
            let headers = match is_last {
                true => mem::take(&mut parts.headers),
                false => parts.headers.clone(),
            };
            let outcome = {
                let attempt = pin!(replica.attempt(parts, headers, &body));
                self.soon(patience, attempt, &body, may_leave).await
            };
            let outcome = match outcome {
                Ok(outcome) => outcome,
                Err(patience) => {
                    failure = ForwardError::TimedOut;
                    if is_ready {
                        given_up = Some(GivenUp { replica, patience, at: Instant::now() });
                        continue;
                    }
                    replica.was_silent();
                    if !is_last && may_repeat() && self.may_send_again() {
                        continue;
                    }
                    break;
                }
            };
            match outcome {
                None => {}
                Some(Ok(response)) => {
                    if let Some(given_up) = given_up {
                        given_up.answered_elsewhere();
                    }
                    self.duration.observe(started.elapsed().as_secs_f64());
                    return Ok(response);
                }
                // Nothing was sent to this replica. The request to another one may have taken effect.
                Some(Err(error @ ForwardError::Unreachable(_))) if !is_sent(&failure) => failure = error,
                Some(Err(ForwardError::Unreachable(_))) => {}
                Some(Err(error @ (ForwardError::Lost(_) | ForwardError::BrokenOff))) if may_repeat() => {
                    failure = error;
                    if !self.may_send_again() {
                        break;
                    }
                }
                Some(Err(error)) => return Err(error),
            }
        }
        Err(failure)
    }

    /// The outcome of an attempt. When it takes longer than `patience` and `may_leave` is true, the attempt is
    /// dropped and `patience` is the error.
    async fn soon<T>(
        &self,
        patience: Option<Duration>,
        mut attempt: Pin<&mut impl Future<Output = T>>,
        body: &ReplayableBody,
        may_leave: impl Fn() -> bool,
    ) -> Result<T, Duration> {
        if let Some(patience) = patience {
            tokio::select! {
                biased;
                outcome = attempt.as_mut() => return Ok(outcome),
                () = overdue(patience, body) => {}
            }
            if may_leave() {
                return Err(patience);
            }
        }
        Ok(attempt.await)
    }

    /// Whether a request may be sent again. Takes it from the budget.
    fn may_send_again(&self) -> bool {
        let is_paid = self.budget.spend(Instant::now());
        if !is_paid {
            self.without_budget.inc();
        }
        is_paid
    }

    /// The replicas whose circuits are closed, ready ones first. The others may have come back.
    fn in_order(&self, parts: &Parts, now: Instant) -> Vec<&Replica> {
        let caller = match self.role {
            COMMAND_API if self.replicas.len() > 1 => CallerKey::of(&parts.headers),
            _ => None,
        };
        let mut order: Vec<&Replica> = self.by_turns().filter(|replica| replica.admits(now)).collect();
        match caller {
            Some(caller) => {
                order.sort_by_key(|replica| (!replica.is_ready(), Reverse(caller.weight(replica.address()))))
            }
            None => {
                order.sort_by_key(|replica| !replica.is_ready());
                if let [first, second, ..] = order.as_mut_slice()
                    && first.is_ready()
                    && second.is_ready()
                    && second.in_flight() < first.in_flight()
                {
                    std::mem::swap(first, second);
                }
            }
        }
        order
    }

    /// All replicas. Each one is first in turn, and each other one second to it. Of the first two, the one with fewer
    /// running requests is chosen.
    fn by_turns(&self) -> impl Iterator<Item = &Replica> {
        let count = self.replicas.len();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let first = turn % count;
        let others = count - 1;
        let rotated = move |index: usize| (turn / count + index) % others;
        std::iter::once(first)
            .chain((0..others).map(move |index| (first + 1 + rotated(index)) % count))
            .filter_map(|index| self.replicas.get(index))
    }

    /// Probes the readiness of all replicas independently of each other, until `stop` is cancelled.
    pub(super) async fn watch(&self, stop: &CancellationToken) {
        join_all(self.replicas.iter().map(|replica| replica.watch(stop.clone()))).await;
    }

    /// Succeeds as soon as one replica is ready. Otherwise says why none is.
    pub(super) async fn ready(&self) -> Result<(), String> {
        let mut asked: FuturesUnordered<_> = self.replicas.iter().map(Replica::ready).collect();
        let mut reasons = Vec::new();
        while let Some(outcome) = asked.next().await {
            match outcome {
                Ok(()) => return Ok(()),
                Err(reason) => reasons.push(reason),
            }
        }
        Err(reasons.join("; "))
    }

    /// The metrics of all replicas: the address, and the text or an error.
    pub(super) async fn metrics(&self) -> Vec<(&str, Result<String, String>)> {
        let asked =
            self.replicas.iter().map(|replica| async { (replica.address(), replica.metrics().await) });
        join_all(asked).await
    }
}

/// A replica that did not answer in time, so that another one was asked.
struct GivenUp<'r> {
    replica: &'r Replica,
    patience: Duration,
    at: Instant,
}

impl GivenUp<'_> {
    /// Another replica has answered. If it took as long, the request is slow everywhere and no replica is at fault.
    fn answered_elsewhere(self) {
        if self.at.elapsed() < self.patience {
            self.replica.was_silent();
        }
    }
}

/// The time that a replica has for its answer when another one could be asked.
fn patience(parts: &Parts) -> Duration {
    // The role refuses a malformed token immediately.
    AtLeast::of(&parts.headers).map_or(Duration::ZERO, |at_least| at_least.wait()) + EXTRA_WAIT
}

/// Whether a request that failed like this may have taken effect.
fn is_sent(failure: &ForwardError) -> bool {
    matches!(failure, ForwardError::Lost(_) | ForwardError::TimedOut | ForwardError::BrokenOff)
}
