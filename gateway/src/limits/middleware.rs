//! Lets a request through to its route, or refuses it.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use auth_client::Verifier;
use axum::{
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
};
use http::Method;
use http_api::{AccessNotes, ClientAddress, GuardedBody, Problem, ProblemCode, RATE_LIMIT};
use http_server::RequestLoad;
use prometheus::IntCounterVec;
use rate_limit::{Quota, Refused, Spending, Standing};
use runtime::Metrics;

use crate::{
    caller::{Caller, shows_a_program_token, signed_subject},
    policy::Policies,
};

use super::{
    account::account,
    fields::{self, seconds},
    in_flight::{AtWork, InFlight},
    limit::{By, Limit},
    subject::Subject,
};

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

    /// Spends one from the budget of each, or says which has none left.
    fn spend<'a>(
        &self,
        notes: &AccessNotes,
        counted: Vec<(&'a Limit, Subject)>,
    ) -> Result<Vec<(&'a Limit, Standing)>, Problem> {
        // With the quota in the key, everyone begins afresh under a limit that an operator has changed.
        let budgets: Vec<(Quota, (&str, Quota, &Subject))> = counted
            .iter()
            .map(|(limit, subject)| (limit.quota, (limit.name.as_str(), limit.quota, subject)))
            .collect();
        let spent = self.spending.spend(&budgets);
        drop(budgets);
        let limits = counted.into_iter().map(|(limit, _)| limit);
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
                let Some(limit) = limits.into_iter().nth(index) else {
                    return Err(Problem::internal());
                };
                self.count(limit.name.as_str(), "refused");
                notes.limit_refused(limit.name.as_str());
                let standing = Standing {
                    remaining: 0,
                    full_after: wait,
                };
                Err(refusal(limit, standing))
            }
        }
    }

    fn count(&self, limit: &str, decision: &str) {
        self.decisions.with_label_values(&[limit, decision]).inc();
    }

    /// Counts a request among those that say nothing about their senders, or refuses it.
    fn begin_anonymous(&self, notes: &AccessNotes, load: &RequestLoad) -> Result<(), Problem> {
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
    fn begin(&self, notes: &AccessNotes, caller: Subject, most: u32) -> Result<AtWork, Problem> {
        self.in_flight.begin(caller, most).ok_or_else(|| {
            self.count(IN_FLIGHT, "refused");
            notes.limit_refused(IN_FLIGHT);
            Problem::overloaded(format!(
                "You have {most} requests at work, which is as many as one caller may have. Nothing was done."
            ))
        })
    }
}

/// Counts a request in every limit that it falls under, and refuses it when one has no room.
pub(crate) async fn limit(
    limiter: &Limiter,
    path: Option<&str>,
    request: Request,
    answer: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let policy = limiter.policies.current();
    let method = request.method().clone();
    let limits: Vec<&Limit> = policy.limits.of(&method, path).collect();
    let admitted = match admit(limiter, &limits, policy.in_flight_per_caller, request).await {
        Ok(admitted) => admitted,
        Err(problem) => return problem.into_response(),
    };
    // It is at work until its answer has been taken.
    let response = answer(admitted.request).await;
    let mut response = response.map(|body| Body::new(GuardedBody::new(body, admitted.at_work)));
    // A role's own refusal says whatever that role counts.
    if !response.headers().contains_key(&RATE_LIMIT) {
        fields::tell(response.headers_mut(), &admitted.standings);
    }
    response
}

/// A request that may go on, and how its sender stands.
struct Admitted<'a> {
    request: Request,
    standings: Vec<(&'a Limit, Standing)>,
    at_work: AtWork,
}

async fn admit<'a>(
    limiter: &Limiter,
    limits: &[&'a Limit],
    in_flight: u32,
    request: Request,
) -> Result<Admitted<'a>, Problem> {
    let address = request
        .extensions()
        .get::<ClientAddress>()
        .map(|address| address.0);
    let address = address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let network = Subject::network(address);
    let notes = AccessNotes::of(request.extensions());
    // Only whom a signature of ours names: what anyone could write would let them spend the budget of others.
    let signed = signed_subject(&limiter.verifier, request.headers());
    if let Some(user) = signed {
        notes.user(user);
    }
    let sender = signed.map_or_else(|| network.clone(), Subject::User);
    let mut at_work = limiter.begin(&notes, sender, in_flight)?;
    let load = request.extensions().get::<RequestLoad>().cloned();
    if let (None, Some(load)) = (signed, &load) {
        limiter.begin_anonymous(&notes, load)?;
    }
    let mut is_address_counted = false;
    let (user, mut standings) = match signed {
        None if shows_a_program_token(request.headers()) => {
            // Nobody but auth can tell a made-up one from a good one, and asking costs. So each that is not remembered as good
            // costs a budget of its address first: that of the limit which is always there, and those which the operator has set.
            let counted = limits.iter().filter_map(|limit| match limit.by {
                By::Address => Some((*limit, network.clone())),
                By::Anonymous => Some((*limit, Subject::unproven(address))),
                By::User | By::Account => None,
            });
            let mut standings = limiter.spend(&notes, counted.collect())?;
            standings.retain(|(limit, _)| limit.by == By::Address);
            is_address_counted = true;
            let caller = Caller::of(&limiter.verifier, request.headers()).await;
            let user = caller.map(|caller| caller.user_id());
            if let Some(user) = user {
                // Until now it was one of the strangers from its address.
                notes.user(user);
                at_work = limiter.begin(&notes, Subject::User(user), in_flight)?;
                if let Some(load) = &load {
                    load.count_as_known();
                }
            }
            (user, standings)
        }
        user => (user, Vec::new()),
    };
    if let Some(load) = &load {
        load.count_for(&at_work.bytes);
    }
    let counted = limits.iter().filter_map(|limit| {
        let subject = match (limit.by, user) {
            (By::Address, _) if is_address_counted => return None,
            (By::Address, _) | (By::Anonymous, None) => network.clone(),
            (By::User, Some(user)) => Subject::User(user),
            (By::Anonymous, Some(_)) | (By::User, None) | (By::Account, _) => return None,
        };
        Some((*limit, subject))
    });
    let counted = counted.collect();
    standings.extend(limiter.spend(&notes, counted)?);
    let by_account: Vec<_> = limits.iter().filter(|limit| limit.by == By::Account).collect();
    if by_account.is_empty() || *request.method() == Method::OPTIONS {
        return Ok(Admitted {
            request,
            standings,
            at_work,
        });
    }
    let (request, email) = account(request).await?;
    if let Some(email) = email {
        let account = Subject::account(email, address);
        let counted = by_account.into_iter().map(|limit| (*limit, account.clone()));
        standings.extend(limiter.spend(&notes, counted.collect())?);
    }
    Ok(Admitted {
        request,
        standings,
        at_work,
    })
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
    let problem = Problem::new(ProblemCode::RateLimited)
        .detail(detail)
        .retry_after(wait);
    headers
        .into_iter()
        .filter_map(|(name, value)| Some((name?, value)))
        .fold(problem, |problem, (name, value)| problem.header(name, value))
}
