//! The replicas of one role over HTTP: chooses one for each request, and another one when the first did not accept
//! it.

use std::{
    cmp::Reverse,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use anyhow::ensure;
use axum::{body::Body, response::Response};
use futures::{StreamExt as _, future::join_all, stream::FuturesUnordered};
use http::request::Parts;
use prometheus::{Histogram, IntCounter};
use tokio::time::{Instant, sleep};
use url::Url;

use super::{
    affinity::CallerKey,
    client::Client,
    metrics::UpstreamMetrics,
    repeatable::{COMMAND_API, is_repeatable},
    replayable_body::ReplayableBody,
    replica::Replica,
    retry_budget::{self, RetryBudget},
};
use crate::error::ForwardError;

/// Nothing is sent again later than this after the request came: whoever waits has waited long enough.
const RETRY_WITHIN: Duration = Duration::from_secs(10);

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
        ensure!(
            !urls.is_empty(),
            "{role} needs at least one address, such as http://127.0.0.1:8081"
        );
        let replicas = urls
            .iter()
            .map(|url| Replica::new(role, url, client, metrics))
            .collect::<anyhow::Result<_>>()?;
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

    /// Forwards one request, to another replica when the first one did not accept it.
    pub(super) async fn send(&self, parts: &Parts, body: Body) -> Result<Response, ForwardError> {
        let started = Instant::now();
        let repeatable = is_repeatable(self.role, parts, &body);
        let body = match repeatable {
            true => ReplayableBody::kept(body),
            false => ReplayableBody::new(body),
        };
        self.budget.pay_in();
        let mut failure = ForwardError::LeftAlone;
        for replica in self.in_order(parts, started) {
            if let ForwardError::Lost(_) = failure {
                self.retries.inc();
                sleep(retry_budget::pause()).await;
            }
            let Some(outcome) = replica.attempt(parts, &body).await else {
                continue;
            };
            match outcome {
                Ok(response) => {
                    self.duration.observe(started.elapsed().as_secs_f64());
                    return Ok(response);
                }
                Err(error @ ForwardError::Unreachable(_)) => {
                    // Nothing was sent to this replica. The request to another one may have taken effect.
                    if !matches!(failure, ForwardError::Lost(_)) {
                        failure = error;
                    }
                }
                Err(error @ ForwardError::Lost(_))
                    if repeatable && body.is_whole() && started.elapsed() < RETRY_WITHIN =>
                {
                    failure = error;
                    if !self.budget.spend(Instant::now()) {
                        self.without_budget.inc();
                        break;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(failure)
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

    /// Looks after which replicas are ready, for ever. One that stands still delays no look at another.
    pub(super) async fn watch(&self) {
        join_all(self.replicas.iter().map(Replica::watch)).await;
    }

    /// Whether any replica is ready: the first one that says so decides. Otherwise why none is.
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

    /// The metrics of every replica: its address, and the text or why there is none.
    pub(super) async fn metrics(&self) -> Vec<(&str, Result<String, String>)> {
        let asked = self
            .replicas
            .iter()
            .map(|replica| async { (replica.address(), replica.metrics().await) });
        join_all(asked).await
    }
}
