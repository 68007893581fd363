//! Combines the layers, and watches the replicas of the roles.

use std::sync::Arc;

use anyhow::Context;
use auth_client::Verifier;
use axum::{extract::Request, middleware};
use http_api::{Edge, Health, Problem};
use http_server::HttpService;
use runtime::{Background, Metrics, read_at_start};

use crate::{
    client_address,
    config::Config,
    consistency::LatestTokens,
    cors,
    forward::Gateway,
    front_door::FrontDoor,
    guard::{self, Guard},
    limits::Limiter,
    merged_metrics::MergedMetrics,
    policy::{self, Policies},
    reference,
    upstreams::{Backend, COMMAND_API, Client, UpstreamMetrics},
};

const ROLE: &str = "gateway";

/// The front door's router, which checks the tokens of callers with `verifier`. Watches the replicas of its upstreams
/// in the `background`.
///
/// # Errors
/// When an upstream has no address, or one that is not a plain `http://` or `https://` address, or when the policy
/// cannot be read.
pub async fn start(
    config: Config,
    verifier: Arc<Verifier>,
    background: &Background,
) -> anyhow::Result<HttpService> {
    let metrics = Metrics::new(ROLE);
    let (policy, upstream_ca) = (config.policy.clone(), config.upstream_ca);
    let read = read_at_start(move || {
        let client = Client::believing(upstream_ca.as_deref()).context("TASKLEDGER_UPSTREAM_CA")?;
        anyhow::Ok((Policies::read(policy.as_deref())?, client))
    });
    let (policies, client) = read.await.context("the gateway cannot read its files")??;
    if let Some(file) = config.policy {
        let reloading =
            policy::reload_on_hangup(policies.clone(), file).context("cannot listen for SIGHUP")?;
        background.spawn_until_stopped("policy", reloading);
    }
    let limiter = Limiter::new(policies.clone(), Arc::clone(&verifier), &metrics);
    let upstream_metrics = UpstreamMetrics::new(&metrics);
    let backend = |name, upstream| Backend::new(name, upstream, &client, &upstream_metrics).map(Arc::new);
    let command_api = backend(COMMAND_API, config.command_api)?;
    let query_api = backend("query-api", config.query_api)?;
    let auth = backend("auth", config.auth)?;
    let projector = backend("projector", config.projector)?;
    let backends = [&command_api, &query_api, &auth, &projector].map(Arc::clone);

    let mut health = Health::new();
    for backend in &backends {
        backend.watch(background);
        let checked = Arc::clone(backend);
        health = health.check(backend.name(), move || {
            let backend = Arc::clone(&checked);
            async move { backend.ready().await }
        });
    }
    let gateway = Gateway::new(
        command_api,
        query_api,
        auth,
        verifier,
        LatestTokens::new(),
        &metrics,
    );
    let merged = MergedMetrics::new(metrics.clone(), backends);
    let guard = Guard::new(policies.clone(), limiter);
    // Also for unknown paths.
    let own = reference::router()
        .fallback(|| async { Problem::not_found().detail("There is no such path.") })
        .layer(middleware::from_fn_with_state(guard.clone(), guard::guard));
    let own = http_api::with_probes(own, health, move |asker| {
        let merged = merged.clone();
        async move { merged.text(asker).await }
    });
    let front_door = FrontDoor::new(gateway, guard, own)?;
    let edge = Edge::new(ROLE, &metrics);
    Ok(HttpService::new(move |request: Request| {
        let (policies, edge, front_door) = (policies.clone(), edge.clone(), front_door.clone());
        async move {
            let policy = policies.current();
            let request = client_address::arrive(&policy, request);
            let answering = |request| edge.answer(request, |request| front_door.answer(request));
            cors::mark(&policy.origins, request, answering).await
        }
    }))
}
