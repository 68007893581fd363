//! Combines the layers, and watches the replicas of the roles.

use std::{path::Path, sync::Arc};

use anyhow::Context;
use auth_client::Verifier;
use axum::{extract::Request, middleware};
use http_api::{Edge, Health, Problem};
use http_server::HttpService;
use runtime::{Background, Metrics, is_pipe, read_at_start};

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
    upstreams::{Backend, COMMAND_API, Client, UpstreamMetrics, check_addresses},
};

const ROLE: &str = "gateway";
const QUERY_API: &str = "query-api";
const AUTH: &str = "auth";
const PROJECTOR: &str = "projector";

/// Checks what a configuration names before anything is started that it would stop. No pipe is read.
///
/// # Errors
/// As [`start`].
pub fn check(config: &Config) -> anyhow::Result<()> {
    let (policy, upstream_ca) = (config.policy.as_deref(), config.upstream_ca.as_deref());
    if !is_pipe(policy) {
        Policies::read(policy)?;
    }
    if !is_pipe(upstream_ca) {
        client(upstream_ca)?;
    }
    let upstreams = [
        (COMMAND_API, &config.command_api),
        (QUERY_API, &config.query_api),
        (AUTH, &config.auth),
        (PROJECTOR, &config.projector),
    ];
    check_addresses(upstreams, upstream_ca.is_some())
}

/// The client for the roles, which trusts the authorities in a file.
fn client(upstream_ca: Option<&Path>) -> anyhow::Result<Client> {
    Client::believing(upstream_ca).context("TASKLEDGER_UPSTREAM_CA")
}

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
        let client = client(upstream_ca.as_deref())?;
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
    let query_api = backend(QUERY_API, config.query_api)?;
    let auth = backend(AUTH, config.auth)?;
    let projector = backend(PROJECTOR, config.projector)?;
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
    let gateway = Gateway::new(command_api, query_api, auth, verifier, LatestTokens::new(), &metrics);
    let merged = MergedMetrics::new(metrics.clone(), backends);
    let guard = Guard::new(policies.clone(), limiter);
    // Also for unknown paths.
    let own = reference::router()
        .fallback(|| async { Problem::no_such_path() })
        .layer(middleware::from_fn_with_state(guard.clone(), guard::guard));
    let own = http_api::with_probes(own, health, move |asker| {
        let merged = merged.clone();
        async move { merged.text(asker).await }
    });
    let front_door = FrontDoor::new(gateway, guard, own)?;
    let shared = Arc::new((policies, Edge::new(ROLE, &metrics), front_door));
    Ok(HttpService::new(move |request: Request| {
        let shared = Arc::clone(&shared);
        async move {
            let (policies, edge, front_door) = &*shared;
            let policy = policies.current();
            let request = client_address::arrive(&policy, request);
            let answering = |request| edge.answer(request, |request| front_door.answer(request));
            cors::mark(&policy.origins, request, answering).await
        }
    }))
}
