//! The budgets of all who send requests, and the requests that each of them has at work.

use std::sync::Arc;

use auth_client::Verifier;
use http_api::{AccessNotes, Problem, ProblemCode};
use http_server::RequestLoad;
use prometheus::IntCounterVec;
use rate_limit::{Quota, Refused, Spending, Standing};
use runtime::Metrics;

use super::{
    fields,
    in_flight::{AtWork, InFlight},
    limit::{Limit, seconds},
    subject::Subject,
};
use crate::policy::Policies;

/// What metrics and the access log call the limit on requests at work.
const IN_FLIGHT: &str = "in-flight";
/// The most budgets that are remembered, those with most spent, in 3 MiB.
const BUDGETS: usize = 128 * 1024;

/// What limiting needs.
pub(crate) struct Limiter {
    policies: Policies,
    verifier: Arc<Verifier>,
    spending: Arc<Spending>,
    in_flight: InFlight,
    decisions: IntCounterVec,
}

impl Limiter {
    pub(crate) fn new(policies: Policies, verifier: Arc<Verifier>, metrics: &Metrics) -> Self {
        let decisions = metrics.counter_vec(
            "taskledger_gateway_limit_decisions_total",
            "Requests that a limit counted, by what it said.",
            &["limit", "decision"],
        );
        Self {
            policies,
            verifier,
            spending: Arc::new(Spending::new(BUDGETS)),
            in_flight: InFlight::default(),
            decisions,
        }
    }

    pub(super) fn policies(&self) -> &Policies {
        &self.policies
    }

    pub(super) fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// Spends one from the budget of each, or says which has none left.
    pub(super) fn spend<'a>(
        &self,
        notes: &AccessNotes,
        counted: &[(&'a Limit, Subject)],
    ) -> Result<Vec<(&'a Limit, Standing)>, Problem> {
        let budgets: Vec<_> =
            counted.iter().map(|(limit, subject)| (limit.quota, budget(limit, subject))).collect();
        let spent = self.spending.spend(&budgets);
        let mut limits = counted.iter().map(|(limit, _)| *limit);
        match spent {
            Ok(standings) => {
                let standings: Vec<_> = limits.zip(standings).collect();
                for (limit, _) in &standings {
                    self.count(limit.name.as_str(), "passed");
                }
                notes.limits_passed();
                Ok(standings)
            }
            Err(Refused { index, wait }) => {
                let Some(limit) = limits.nth(index) else {
                    return Err(Problem::internal());
                };
                self.count(limit.name.as_str(), "refused");
                notes.limit_refused(limit.name.as_str());
                let standing = Standing { remaining: 0, full_after: wait };
                Err(refusal(limit, standing))
            }
        }
    }

    /// Gives back one to the budget of each, for a request that is refused after all.
    pub(super) fn give_back(&self, spent: &[(&Limit, Subject)]) {
        for (limit, subject) in spent {
            self.spending.give_back(limit.quota, budget(limit, subject));
        }
    }

    fn count(&self, limit: &str, decision: &str) {
        self.decisions.with_label_values(&[limit, decision]).inc();
    }

    /// Counts a request among those that say nothing about their senders, or refuses it.
    pub(super) fn begin_anonymous(&self, notes: &AccessNotes, load: &RequestLoad) -> Result<(), Problem> {
        if load.count_as_anonymous() {
            return Ok(());
        }
        self.count(IN_FLIGHT, "refused");
        notes.limit_refused(IN_FLIGHT);
        Err(Problem::overloaded(
            "There are as many requests without a token at work as there may be. Nothing was done.",
        ))
    }

    /// Counts one more request at work of this caller, or refuses it.
    pub(super) fn begin(&self, notes: &AccessNotes, caller: Subject, most: u32) -> Result<AtWork, Problem> {
        self.in_flight.begin(caller, most).ok_or_else(|| {
            self.count(IN_FLIGHT, "refused");
            notes.limit_refused(IN_FLIGHT);
            Problem::overloaded(format!(
                "You have {most} requests at work, which is as many as one caller may have. Nothing was done."
            ))
        })
    }
}

/// The key of a budget. It holds the quota, so that everyone begins afresh under a limit that an operator has changed.
fn budget<'a>(limit: &'a Limit, subject: &'a Subject) -> (&'a str, Quota, &'a Subject) {
    (limit.name.as_str(), limit.quota, subject)
}

fn refusal(limit: &Limit, standing: Standing) -> Problem {
    let wait = seconds(standing.full_after).max(1);
    let detail = format!(
        "The limit `{}` is {} requests in {} s. Try again in {wait} s.",
        limit.name,
        limit.quota.burst(),
        seconds(limit.quota.window()).max(1)
    );
    let mut headers = http::HeaderMap::new();
    fields::tell(&mut headers, &[(limit, standing)]);
    let problem = Problem::new(ProblemCode::RateLimited).detail(detail).retry_after(wait);
    headers
        .into_iter()
        .filter_map(|(name, value)| Some((name?, value)))
        .fold(problem, |problem, (name, value)| problem.header(name, value))
}
