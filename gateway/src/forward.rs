//! Hands one request to the role that answers it, and its answer to the client.

use std::{pin::pin, sync::Arc};

use auth_client::Verifier;
use axum::{
    extract::Request,
    response::{IntoResponse, Response},
};
use futures::future::{Either, select};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header, request::Parts};
use http_api::{CONSISTENCY_TOKEN, Problem};
use prometheus::IntCounterVec;
use runtime::Metrics;

use crate::{
    caller::caller,
    consistency::{self, Memory},
    error::ForwardError,
    headers,
    target::Target,
    upstreams::Backend,
};

const PREFER: HeaderName = HeaderName::from_static("prefer");

/// What forwarding needs.
#[derive(Clone)]
pub(crate) struct Gateway {
    command_api: Arc<Backend>,
    query_api: Arc<Backend>,
    auth: Arc<Backend>,
    verifier: Arc<Verifier>,
    memory: Memory,
    failures: IntCounterVec,
}

impl Gateway {
    pub(crate) fn new(
        command_api: Arc<Backend>,
        query_api: Arc<Backend>,
        auth: Arc<Backend>,
        verifier: Arc<Verifier>,
        memory: Memory,
        metrics: &Metrics,
    ) -> Self {
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
            failures,
        }
    }

    /// The role that answers `method` at `target`; otherwise the methods that one does answer.
    fn backend(&self, target: Target, method: &Method) -> Result<&Backend, &'static str> {
        match target {
            Target::Auth => Ok(&self.auth),
            Target::Commands => Ok(&self.command_api),
            Target::Split { .. } if is_read(method) => Ok(&self.query_api),
            Target::Split { commands, .. } if commands.contains(method) => Ok(&self.command_api),
            Target::Split { allow, .. } => Err(allow),
        }
    }

    /// A read shows at least what the caller's own commands have done.
    async fn read(&self, backend: &Backend, mut request: Request) -> Result<Response, ForwardError> {
        let mut asked = None;
        if !request.headers().contains_key(&CONSISTENCY_TOKEN)
            && let Some(caller) = caller(&self.verifier, request.headers()).await
            && let Some(token) = self.memory.recall(caller).await
        {
            let headers = request.headers_mut();
            headers.insert(&CONSISTENCY_TOKEN, token.clone());
            // Beside what the client prefers. It did not ask for that state, so one that the log has lost is no matter.
            headers.append(PREFER, HeaderValue::from_static("handling=lenient"));
            asked = Some((caller, token));
        }
        let (parts, body) = request.into_parts();
        let response = backend.send(parts, body).await?;
        // Others answer from the log, and their tokens say nothing of the projection.
        if let Some((caller, asked)) = asked
            && std::ptr::eq(backend, &*self.query_api)
            && response.status().is_success()
        {
            self.memory.settle(caller, &asked, response.headers()).await;
        }
        Ok(response)
    }

    /// The state that a command leads to is remembered before the caller can know of it.
    async fn write(&self, backend: &Backend, request: Request) -> Result<Response, ForwardError> {
        let (parts, body) = request.into_parts();
        let credentials = credentials(&parts);
        let caller = pin!(caller(&self.verifier, &credentials));
        let sending = pin!(backend.send(parts, body));
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
            self.memory.remember(caller, response.headers()).await;
        }
        Ok(response)
    }
}

/// Forwards one request to the role behind `target`.
pub(crate) async fn forward(gateway: &Gateway, target: Target, request: Request) -> Response {
    let backend = match gateway.backend(target, request.method()) {
        Ok(backend) => backend,
        Err(allow) => {
            let problem =
                Problem::method_not_allowed().header(header::ALLOW, HeaderValue::from_static(allow));
            return problem.into_response();
        }
    };
    let answer = match is_read(request.method()) {
        true => gateway.read(backend, request).await,
        false => gateway.write(backend, request).await,
    };
    match answer {
        Ok(mut response) => {
            headers::for_client(response.headers_mut());
            response
        }
        Err(error) => {
            gateway
                .failures
                .with_label_values(&[backend.name(), error.reason()])
                .inc();
            let source = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(upstream = backend.name(), error = %error, source, "an upstream did not answer");
            Problem::from(error).into_response()
        }
    }
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// The part of the headers that says who is calling.
fn credentials(parts: &Parts) -> HeaderMap {
    parts
        .headers
        .get(header::AUTHORIZATION)
        .map(|value| (header::AUTHORIZATION, value.clone()))
        .into_iter()
        .collect()
}
