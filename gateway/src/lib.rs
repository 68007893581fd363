//! The front door: finds the role that answers a request, and makes many roles look like one service.
//!
//! A request passes these layers, outermost first. Each is one module; a new layer takes its place here.
//!
//! 1. `arrival` — whose request it is (client address), and away with headers that end at this hop.
//! 2. `http_api::with_middleware` — request id, trace context, access log, HTTP metrics, problems, security headers.
//! 3. `routes` — the public paths. Unknown ones end here with `404`, wrong methods with `405`.
//! 4. `consistency` — a caller's own writes are visible to their next read.
//! 5. `forward`, `backend`, `replicas` — the role itself: in this process, or one of its replicas over HTTP.
//!
//! Bodies are streamed in both directions. Only that of a request with an `Idempotency-Key` is kept, up to a bound,
//! so that it can be sent again.

mod arrival;
mod backend;
mod caller;
mod config;
mod consistency;
mod error;
mod exposition;
mod forward;
mod headers;
mod replayable_body;
mod replicas;
mod routes;
mod target;

pub use config::{Config, Dependencies, Upstream};

use std::sync::Arc;

use axum::{Router, middleware};
use http_api::Health;
use runtime::{Background, Metrics};
use tower::Layer;

use crate::{backend::Backend, consistency::Memory, forward::Gateway};

const ROLE: &str = "gateway";
/// The role that does a command once for its `Idempotency-Key`.
const COMMAND_API: &str = "command-api";

/// The front door's router. Watches the replicas of its upstreams in the `background`.
///
/// # Errors
/// When an upstream has no address, or one that is not a plain `http://` address.
pub async fn start(
    config: Config,
    dependencies: Dependencies,
    background: &Background,
) -> anyhow::Result<Router> {
    let metrics = Metrics::new(ROLE);
    let client = replicas::client();
    let backend = |name, upstream| Backend::new(name, upstream, &client).map(Arc::new);
    let command_api = backend(COMMAND_API, config.command_api)?;
    let query_api = backend("query-api", config.query_api)?;
    let auth = backend("auth", config.auth)?;
    let projector = backend("projector", config.projector)?;
    let backends = [&command_api, &query_api, &auth, &projector].map(Arc::clone);

    let mut health = Health::new();
    for backend in &backends {
        let watched = Arc::clone(backend);
        background.spawn_until_stopped("watch over replicas", async move { watched.watch().await });
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
        dependencies.verifier,
        Memory::new(),
        &metrics,
    );
    let exposition = exposition::Exposition::new(metrics.clone(), backends);
    let served =
        http_api::with_middleware_and_metrics(routes::router(&gateway), ROLE, &metrics, health, move || {
            let exposition = exposition.clone();
            async move { exposition.text().await }
        });
    Ok(Router::new().fallback_service(middleware::map_request(arrival::arrive).layer(served)))
}
