//! Starts the role: follows the checkpoints, and serves the endpoints.

use std::sync::Arc;

use anyhow::Context;
use http_api::{CursorKey, Health, HttpService, LOG, Server};
use read_models::Projection;
use runtime::{Background, Metrics};

use crate::{
    admission::Admission,
    app_state::AppState,
    config::{Config, Dependencies},
    metrics::QueryMetrics,
    routes::router,
    stream_limits::StreamLimits,
    stream_wakeups::StreamWakeups,
};

/// The role's name in metrics and logs.
const ROLE: &str = "query-api";

/// Starts following the checkpoints of the read models in the `background`, and returns the routes.
pub async fn start(
    config: Config,
    dependencies: Dependencies,
    background: &Background,
) -> anyhow::Result<HttpService> {
    let Dependencies { read_models, audit_tree, store, verifier, clock } = dependencies;
    let projection = Projection::new(read_models.clone(), store.clone(), config.partitions);
    // Subscribes first, so that no change between reading and listening is missed.
    projection.follow(background);
    projection
        .look()
        .await
        .with_context(|| format!("cannot read the read models at {}", read_models.url()))?;
    // Before anything is answered: empty read models are not to be shown as if there were no tasks.
    if let Err(error) = projection.compare().await {
        tracing::warn!(%error, "the read models cannot be compared with the log yet");
    }
    projection.keep_comparing(background);
    let stream_wakeups = StreamWakeups::new(config.partitions);
    stream_wakeups.follow(&projection, &read_models, background);

    let (compared, tokens) = (Arc::clone(&projection), Arc::clone(&verifier));
    let health = Health::new()
        .server(Server::ReadModels, read_models.clone(), async |read_models| read_models.ping().await)
        .without_complaint(LOG, move || compared.complaint())
        // Without the bus no token can be checked that is not cached.
        .bus(move || tokens.is_connected());
    let metrics = Metrics::new(ROLE);
    let query_metrics = QueryMetrics::new(&metrics);
    let router = router(AppState {
        read_models,
        audit_tree,
        store,
        admission: Admission::new(config.connections),
        projection,
        verifier,
        clock,
        cursor_key: CursorKey::new(config.cursor_key),
        event_streams: StreamLimits::new(query_metrics.event_streams.clone()),
        metrics: query_metrics,
        stream_wakeups,
    });
    Ok(http_api::with_middleware(router, ROLE, &metrics, health))
}
