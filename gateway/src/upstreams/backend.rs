//! One role behind the gateway, in this process or elsewhere.

use std::sync::Arc;

use axum::{body::Body, response::Response};
use http::{Request, request::Parts};
use http_api::Forwarded;
use http_server::{HttpService, Waiting};
use runtime::Background;

use super::{
    client::Client,
    metrics::UpstreamMetrics,
    replayable_body::{ReplayableBody, in_time},
    replica::read_probe,
    replicas::Replicas,
};
use crate::{config::Upstream, error::ForwardError};

pub(crate) struct Backend {
    name: &'static str,
    location: Location,
    /// The requests whose answers have not begun.
    pub(crate) waiting: Waiting,
}

enum Location {
    Local(HttpService),
    Remote(Box<Replicas>),
}

impl Backend {
    pub(crate) fn new(
        name: &'static str,
        upstream: Upstream,
        client: &Client,
        metrics: &UpstreamMetrics,
    ) -> anyhow::Result<Self> {
        let location = match upstream {
            Upstream::InProcess(service) => Location::Local(service),
            Upstream::Http(urls) => Location::Remote(Box::new(Replicas::new(name, &urls, client, metrics)?)),
        };
        Ok(Self { name, location, waiting: Waiting::default() })
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Forwards one request.
    pub(crate) async fn send(&self, mut parts: Parts, body: Body) -> Result<Response, ForwardError> {
        match &self.location {
            Location::Local(service) => {
                let body = ReplayableBody::new(body);
                let mut request = Request::from_parts(parts, Body::new(body.clone()));
                request.extensions_mut().clear();
                request.extensions_mut().insert(Forwarded);
                in_time(&body, service.answer(request)).await
            }
            Location::Remote(replicas) => replicas.send(&mut parts, body).await,
        }
    }

    /// Whether it can serve; with several replicas, whether any can.
    pub(crate) async fn ready(&self) -> Result<(), String> {
        match &self.location {
            Location::Local(service) => probe(service, "/health/ready").await.map(drop),
            Location::Remote(replicas) => replicas.ready().await,
        }
    }

    /// The metrics of each replica: its address, and the text or an error.
    pub(crate) async fn metrics(&self) -> Vec<(Option<&str>, Result<String, String>)> {
        match &self.location {
            Location::Local(service) => vec![(None, probe(service, "/metrics").await)],
            Location::Remote(replicas) => {
                let metrics = replicas.metrics().await;
                metrics.into_iter().map(|(address, text)| (Some(address), text)).collect()
            }
        }
    }

    /// Watches its replicas in the `background`.
    pub(crate) fn watch(self: &Arc<Self>, background: &Background) {
        let here = Arc::clone(self);
        let stop = background.stop();
        background.spawn_until_stopped("watch over replicas", async move {
            if let Location::Remote(replicas) = &here.location {
                replicas.watch(&stop).await;
            }
        });
    }
}

/// The answer of a role in this process to a GET of `path`, or an error.
async fn probe(service: &HttpService, path: &'static str) -> Result<String, String> {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = http::Uri::from_static(path);
    request.extensions_mut().insert(Forwarded);
    read_probe(service.answer(request).await).await
}
