//! One role behind the front door, wherever it runs.

use axum::{Router, body::Body, response::Response};
use http::{Request, request::Parts};
use http_api::Forwarded;
use tower::ServiceExt;

use super::{
    client::Client,
    metrics::UpstreamMetrics,
    replayable_body::{ReplayableBody, in_time},
    replica::read_glance,
    replicas::Replicas,
};
use crate::{config::Upstream, error::ForwardError};

pub(crate) struct Backend {
    name: &'static str,
    place: Place,
}

enum Place {
    Here(Router),
    There(Box<Replicas>),
}

impl Backend {
    pub(crate) fn new(
        name: &'static str,
        upstream: Upstream,
        client: &Client,
        metrics: &UpstreamMetrics,
    ) -> anyhow::Result<Self> {
        let place = match upstream {
            Upstream::InProcess(router) => Place::Here(router),
            Upstream::Http(urls) => Place::There(Box::new(Replicas::new(name, &urls, client, metrics)?)),
        };
        Ok(Self { name, place })
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Forwards one request.
    pub(crate) async fn send(&self, parts: Parts, body: Body) -> Result<Response, ForwardError> {
        match &self.place {
            Place::Here(router) => {
                let body = ReplayableBody::new(body);
                let mut request = Request::from_parts(parts, Body::new(body.clone()));
                request.extensions_mut().clear();
                request.extensions_mut().insert(Forwarded);
                let Ok(response) = in_time(&body, router.clone().oneshot(request)).await?;
                Ok(response)
            }
            Place::There(replicas) => replicas.send(&parts, body).await,
        }
    }

    /// Whether it can serve; for several replicas, whether any can.
    pub(crate) async fn ready(&self) -> Result<(), String> {
        let glances = self.glances("/health/ready").await;
        if glances.iter().any(|(_, glance)| glance.is_ok()) {
            return Ok(());
        }
        let reasons: Vec<_> = glances
            .into_iter()
            .filter_map(|(_, glance)| glance.err())
            .collect();
        Err(reasons.join("; "))
    }

    /// The metrics of each replica: where it is, and its text or why there is none.
    pub(crate) async fn metrics(&self) -> Vec<(Option<&str>, Result<String, String>)> {
        self.glances("/metrics").await
    }

    /// Looks after its replicas, for ever.
    pub(crate) async fn watch(&self) {
        match &self.place {
            Place::Here(_) => {}
            Place::There(replicas) => replicas.watch().await,
        }
    }

    async fn glances(&self, path: &'static str) -> Vec<(Option<&str>, Result<String, String>)> {
        match &self.place {
            Place::Here(router) => {
                let mut request = Request::new(Body::empty());
                *request.uri_mut() = http::Uri::from_static(path);
                request.extensions_mut().insert(Forwarded);
                let Ok(response) = router.clone().oneshot(request).await;
                vec![(None, read_glance(response).await)]
            }
            Place::There(replicas) => {
                let glances = replicas.glances(path).await;
                glances
                    .into_iter()
                    .map(|(address, glance)| (Some(address), glance))
                    .collect()
            }
        }
    }
}
