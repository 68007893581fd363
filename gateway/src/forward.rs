//! Sends a request to the role that answers it, and the answer to the client.

use std::{pin::pin, sync::Arc};

use auth_client::{TokenHash, Verifier};
use axum::{
    extract::Request,
    response::{IntoResponse, Response},
};
use events::UserId;
use futures::future::{Either, select};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use http_api::{AccessNotes, CONSISTENCY_TOKEN, Problem};
use http_server::RequestLoad;
use prometheus::IntCounterVec;
use runtime::{Metrics, with_causes};
use tokio::time::Instant;

use crate::{
    cache::{self, Answers, CacheMetrics, Lookup, Reader, Status},
    caller::{Caller, bearer},
    consistency::{self, CallerTokens, LatestTokens},
    error::ForwardError,
    headers,
    target::Target,
    upstreams::{Backend, ReadWhole},
};

const PREFER: HeaderName = HeaderName::from_static("prefer");

/// The dependencies of forwarding.
pub(crate) struct Gateway {
    command_api: Arc<Backend>,
    query_api: Arc<Backend>,
    auth: Arc<Backend>,
    verifier: Arc<Verifier>,
    memory: LatestTokens,
    answers: Answers,
    reader: Reader,
    failures: IntCounterVec,
}

impl Gateway {
    pub(crate) fn new(
        command_api: Arc<Backend>,
        query_api: Arc<Backend>,
        auth: Arc<Backend>,
        verifier: Arc<Verifier>,
        memory: LatestTokens,
        metrics: &Metrics,
    ) -> Self {
        let answers = Answers::new();
        let failures = metrics.counter_vec(
            "taskledger_gateway_upstream_failures_total",
            "Requests that an upstream did not answer.",
            &["upstream", "reason"],
        );
        Self {
            command_api,
            query_api,
            auth,
            verifier,
            memory,
            reader: Reader::new(answers.clone(), CacheMetrics::new(metrics)),
            answers,
            failures,
        }
    }

    /// The role that answers `method` at `target`; otherwise the allowed methods.
    fn backend(&self, target: Target, method: &Method) -> Result<&Backend, &'static str> {
        match target {
            Target::Auth => Ok(&self.auth),
            Target::Commands => Ok(&self.command_api),
            Target::Split { .. } if is_read(method) => Ok(&self.query_api),
            Target::Split { commands, .. } if commands.contains(method) => Ok(&self.command_api),
            Target::Split { allow, .. } => Err(allow),
        }
    }

    /// Forwards a read, which must include the effects of the caller's own commands.
    async fn read(&self, backend: &Backend, request: Request) -> Result<Response, ForwardError> {
        let is_about_tasks = std::ptr::eq(backend, &*self.query_api);
        let names_a_state = request.headers().contains_key(&CONSISTENCY_TOKEN);
        let caller = match is_about_tasks || !names_a_state {
            true => Caller::of(&self.verifier, request.headers()).await,
            false => None,
        };
        let known = match &caller {
            Some(caller) => self.memory.recall(caller.user_id()),
            None => None,
        };
        let lookup = match &caller {
            Some(Caller::Verified(identity)) if is_about_tasks => {
                Lookup::of(&request, identity, known.map(|known| known.furthest))
            }
            _ => None,
        };
        let states = match (&caller, known) {
            (Some(caller), Some(known)) if !names_a_state => Some((caller.user_id(), known)),
            _ => None,
        };
        match lookup {
            Some(lookup) => {
                let ask = |mut request: Request| {
                    // Others may wait for the same answer, and nothing of it is sent before all of it is there.
                    request.extensions_mut().insert(ReadWhole { up_to: cache::MAX_BYTES });
                    self.ask(backend, request, states)
                };
                self.reader.read(&lookup, request, ask).await
            }
            None if is_about_tasks => {
                let response = self.ask(backend, request, states).await?;
                Ok(self.reader.bypassed(response))
            }
            None => self.ask(backend, request, states).await,
        }
    }

    /// Asks the role, with the remembered states of a caller if there are any.
    async fn ask(
        &self,
        backend: &Backend,
        mut request: Request,
        states: Option<(UserId, CallerTokens)>,
    ) -> Result<Response, ForwardError> {
        if let Some((_, states)) = states {
            let headers = request.headers_mut();
            let tokens: Vec<_> = states.tokens().map(|token| token.to_string()).collect();
            // Digits, letters and commas are always a header value.
            if let Ok(tokens) = HeaderValue::try_from(tokens.join(", ")) {
                headers.insert(&CONSISTENCY_TOKEN, tokens);
            }
            // In addition to the client's preferences. The client did not ask for that state, so a state that the log
            // has lost is ignored.
            headers.append(PREFER, HeaderValue::from_static("handling=lenient"));
        }
        let response = send(backend, request).await?;
        // Other roles answer from the log, so their tokens say nothing about the projection.
        if let Some((caller, states)) = states
            && std::ptr::eq(backend, &*self.query_api)
            && response.status().is_success()
        {
            self.memory.forget_lost_state(caller, states, response.headers());
        }
        Ok(response)
    }

    /// Forwards a command. Its token is remembered before the client gets the answer.
    async fn write(&self, backend: &Backend, request: Request) -> Result<Response, ForwardError> {
        let token = bearer(request.headers()).map(TokenHash::of);
        let token = token.filter(|_| std::ptr::eq(backend, &*self.command_api));
        let Some(token) = token else {
            return self.command(backend, request).await;
        };
        self.answers.written(token);
        let outcome = self.command(backend, request).await;
        // A failed command may have taken effect, too.
        self.answers.written(token);
        outcome
    }

    async fn command(&self, backend: &Backend, request: Request) -> Result<Response, ForwardError> {
        let credentials = credentials(request.headers());
        let caller = pin!(Caller::of(&self.verifier, &credentials));
        let sending = pin!(send(backend, request));
        let (response, caller) = match select(sending, caller).await {
            Either::Left((response, caller)) => {
                let response = response?;
                match consistency::token_in(response.headers()) {
                    Some(_) => (response, caller.await),
                    None => return Ok(response),
                }
            }
            Either::Right((caller, sending)) => (sending.await?, caller),
        };
        if let Some(caller) = caller {
            self.memory.remember(caller.user_id(), response.headers());
        }
        Ok(response)
    }
}

/// Forwards a request to the role of `target`.
pub(crate) async fn forward(gateway: &Gateway, target: Target, request: Request) -> Response {
    let backend = match gateway.backend(target, request.method()) {
        Ok(backend) => backend,
        Err(allow) => {
            let problem =
                Problem::method_not_allowed().header(header::ALLOW, HeaderValue::from_static(allow));
            return problem.into_response();
        }
    };
    let notes = AccessNotes::of(request.extensions());
    let answer = match is_read(request.method()) {
        true => gateway.read(backend, request).await,
        false => gateway.write(backend, request).await,
    };
    match answer {
        Ok(mut response) => {
            if let Some(status) = response.extensions().get::<Status>() {
                notes.cache(status.name());
            }
            headers::for_client(response.headers_mut());
            response
        }
        Err(error) => {
            gateway.failures.with_label_values(&[backend.name(), error.reason()]).inc();
            tracing::warn!(
                upstream = backend.name(),
                error = with_causes(&error),
                "an upstream did not answer"
            );
            Problem::from(error).into_response()
        }
    }
}

/// Sends a request to the role, and records how long that took.
async fn send(backend: &Backend, request: Request) -> Result<Response, ForwardError> {
    let notes = AccessNotes::of(request.extensions());
    let (parts, body) = request.into_parts();
    // One that stands still must leave places to requests for the others.
    let load = parts.extensions.get::<RequestLoad>();
    let waiting = load.map(|load| load.wait_in(&backend.waiting));
    if let Some(None) = waiting {
        return Err(ForwardError::TooManyWaiting);
    }
    let sent = Instant::now();
    let answer = backend.send(parts, body).await;
    notes.upstream(sent.elapsed());
    answer
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// The headers with the caller's credentials.
fn credentials(headers: &HeaderMap) -> HeaderMap {
    headers
        .get(header::AUTHORIZATION)
        .map(|value| (header::AUTHORIZATION, value.clone()))
        .into_iter()
        .collect()
}
