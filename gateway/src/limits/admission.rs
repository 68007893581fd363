//! Counts one request in all limits that it falls under: first by what its headers prove, at last by what its body
//! says.

use std::net::{IpAddr, Ipv4Addr};

use axum::extract::Request;
use events::UserId;
use http::{HeaderMap, Method};
use http_api::{AccessNotes, ClientAddress, Problem};
use http_server::RequestLoad;
use rate_limit::Standing;

use super::{
    account::account,
    budgets::Limiter,
    in_flight::AtWork,
    limit::{By, Limit},
    subject::Subject,
};
use crate::caller::{Caller, shows_a_program_token, signed_subject};

/// A request that may go on, and how its sender stands.
pub(super) struct Admitted<'a> {
    pub(super) request: Request,
    pub(super) standings: Vec<(&'a Limit, Standing)>,
    pub(super) at_work: AtWork,
}

/// Counts a request, or refuses it. Its sender may have `in_flight` requests at work.
pub(super) async fn admit<'a>(
    limiter: &Limiter,
    limits: &[&'a Limit],
    in_flight: u32,
    request: Request,
) -> Result<Admitted<'a>, Problem> {
    let mut admission = Admission::begin(limiter, limits, in_flight, &request)?;
    if admission.user.is_none() && shows_a_program_token(request.headers()) {
        // Boxed, as few requests need it and all would have a place for it.
        Box::pin(admission.check_program_token(request.headers())).await?;
    }
    admission.count_sender()?;
    let request = admission.count_account(request).await?;
    Ok(Admitted { request, standings: admission.standings, at_work: admission.at_work })
}

/// A request that is being counted.
struct Admission<'a, 'l> {
    limiter: &'l Limiter,
    limits: &'l [&'a Limit],
    in_flight: u32,
    notes: AccessNotes,
    load: Option<RequestLoad>,
    address: IpAddr,
    network: Subject,
    /// Who sends it, as far as that is proved.
    user: Option<UserId>,
    at_work: AtWork,
    standings: Vec<(&'a Limit, Standing)>,
    /// What it has cost so far, and costs no more if a limit refuses it.
    spent: Vec<(&'a Limit, Subject)>,
    /// The limits by address have been counted.
    is_address_counted: bool,
}

impl<'a, 'l> Admission<'a, 'l> {
    /// Counts the request among those at work.
    fn begin(
        limiter: &'l Limiter,
        limits: &'l [&'a Limit],
        in_flight: u32,
        request: &Request,
    ) -> Result<Self, Problem> {
        let address = request.extensions().get::<ClientAddress>();
        let address = address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.0);
        let network = Subject::network(address);
        let notes = AccessNotes::of(request.extensions());
        // Only whom a signature of ours names: what anyone could write would let them spend the budget of others.
        let user = signed_subject(limiter.verifier(), request.headers());
        if let Some(user) = user {
            notes.user(user);
        }
        let sender = user.map_or_else(|| network.clone(), Subject::User);
        let at_work = limiter.begin(&notes, sender, in_flight)?;
        let load = request.extensions().get::<RequestLoad>().cloned();
        if let (None, Some(load)) = (user, &load) {
            limiter.begin_anonymous(&notes, load)?;
        }
        Ok(Self {
            limiter,
            limits,
            in_flight,
            notes,
            load,
            address,
            network,
            user,
            at_work,
            standings: Vec::new(),
            spent: Vec::new(),
            is_address_counted: false,
        })
    }

    /// Asks whose program token it is. Nobody but auth can tell a made-up one from a good one, and asking costs. So
    /// each that is not remembered as good costs a budget of its address first: that of the limit which is always
    /// there, and those which the operator has set.
    async fn check_program_token(&mut self, headers: &HeaderMap) -> Result<(), Problem> {
        let address = self.address;
        let network = self.network.clone();
        self.spend(|limit| match limit.by {
            By::Address => Some(network.clone()),
            By::Anonymous => Some(Subject::unproven(address)),
            By::User | By::Account => None,
        })?;
        self.standings.retain(|(limit, _)| limit.by == By::Address);
        // Auth is asked for that, so it is not given back.
        self.spent.clear();
        self.is_address_counted = true;
        let caller = Caller::of(self.limiter.verifier(), headers).await;
        self.user = caller.map(|caller| caller.user_id());
        if let Some(user) = self.user {
            // Until now it was one of the strangers from its address.
            self.notes.user(user);
            self.at_work = self.limiter.begin(&self.notes, Subject::User(user), self.in_flight)?;
            if let Some(load) = &self.load {
                load.count_as_known();
            }
        }
        Ok(())
    }

    /// Counts it for its address, and for its sender or those who say nothing about themselves.
    fn count_sender(&mut self) -> Result<(), Problem> {
        if let Some(load) = &self.load {
            load.count_for(&self.at_work.bytes, self.address);
        }
        let (user, network, is_address_counted) = (self.user, self.network.clone(), self.is_address_counted);
        self.spend(|limit| match (limit.by, user) {
            (By::Address, _) if is_address_counted => None,
            (By::Address, _) | (By::Anonymous, None) => Some(network.clone()),
            (By::User, Some(user)) => Some(Subject::User(user)),
            (By::Anonymous, Some(_)) | (By::User, None) | (By::Account, _) => None,
        })
    }

    /// Counts it for the account that its body names, where a limit asks for that.
    async fn count_account(&mut self, request: Request) -> Result<Request, Problem> {
        let is_limited = self.limits.iter().any(|limit| limit.by == By::Account);
        if !is_limited || *request.method() == Method::OPTIONS {
            return Ok(request);
        }
        // Boxed, as few requests need it and all would have a place for it.
        let (request, email) = Box::pin(account(request)).await?;
        if let Some(email) = email {
            let account = Subject::account(email, self.address);
            // The body was received and read, so the limits of all requests keep what they have counted. Those of
            // some routes count the work behind them, such as hashing a password, which a refusal spares.
            self.spent.retain(|(limit, _)| !limit.counts_all_requests());
            self.spend(|limit| (limit.by == By::Account).then(|| account.clone()))?;
        }
        Ok(request)
    }

    /// Spends one from the budgets that `subject` names, for each limit that it names one for. If one of them refuses,
    /// none of them has spent anything, and those of `spent` get theirs back.
    fn spend(&mut self, subject: impl Fn(&Limit) -> Option<Subject>) -> Result<(), Problem> {
        let counted = self.limits.iter();
        let counted: Vec<_> = counted.filter_map(|limit| Some((*limit, subject(limit)?))).collect();
        let standings = self.limiter.spend(&self.notes, &counted);
        let standings = standings.inspect_err(|_| self.limiter.give_back(&self.spent))?;
        self.standings.extend(standings);
        self.spent.extend(counted);
        Ok(())
    }
}
