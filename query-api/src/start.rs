//! Starts the role: follows the checkpoints, and serves the endpoints.

use std::sync::Arc;

use anyhow::Context;
use audit_tree::AuditTree;
use auth_client::Verifier;
use axum::Router;
use database::Database;
use event_store::EventStore;
use events::PartitionCount;
use http_api::{CursorKey, Health, LOG};
use read_models::Projection;
use runtime::{Background, Clock, Metrics};

use crate::{
    admission::Admission,
    app_state::{App, Audit},
    metrics::{UnreadableRows, Waiting, event_streams},
    routes::router,
    stream_limits::StreamLimits,
};

/// The role's name in metrics and logs.
const ROLE: &str = "query-api";

/// The configuration of the role.
#[derive(Clone)]
pub struct Config {
    /// The number of partitions; the same as the projector's.
    pub partitions: PartitionCount,
    /// The key that signs cursors; the same in every replica, so that each accepts the others' cursors.
    pub cursor_key: [u8; 32],
    /// The most connections to the read models, which callers share.
    pub connections: usize,
}

/// The dependencies of the role.
#[derive(Clone)]
pub struct Dependencies {
    /// What it reads.
    pub read_models: Database,
    /// The audit tree.
    pub audit_tree: AuditTree,
    /// The log, which is asked whether it has the state that a caller waits for.
    pub store: Arc<dyn EventStore>,
    /// Checks the tokens of callers.
    pub verifier: Arc<Verifier>,
    /// The clock, for overdue tasks.
    pub clock: Arc<dyn Clock>,
}

/// Starts following the checkpoints of the read models in the `background`, and returns the routes.
///
/// # Errors
/// When the read models cannot be read.
pub async fn start(
    config: Config,
    dependencies: Dependencies,
    background: &Background,
) -> anyhow::Result<Router> {
    let Dependencies {
        read_models,
        audit_tree,
        store,
        verifier,
        clock,
    } = dependencies;
    let audit = Audit {
        tree: audit_tree,
        store: store.clone(),
    };
    let projection = Projection::new(read_models.clone(), store, config.partitions);
    // Subscribes first, so that no change between reading and listening is missed.
    projection.follow(background);
    projection
        .look()
        .await
        .with_context(|| format!("cannot read the read models at {}", read_models.url()))?;
    projection.keep_comparing(background);

    let tokens = Arc::clone(&verifier);
    let health = Health::new()
        .read_models(read_models.clone(), |read_models| async move {
            read_models.ping().await
        })
        .check(LOG, {
            let projection = Arc::clone(&projection);
            move || {
                let complaint = projection.complaint();
                async move { complaint.map_or(Ok(()), |complaint| Err(complaint.to_owned())) }
            }
        })
        // Without the bus no token can be checked that is not cached.
        .bus(move || tokens.is_connected());
    let cursor_key = CursorKey::new(config.cursor_key);
    let metrics = Metrics::new(ROLE);
    let waiting = Waiting::new(&metrics);
    let router = router(App {
        read_models,
        audit,
        admission: Admission::new(config.connections),
        projection,
        verifier,
        clock,
        cursor_key,
        waiting,
        unreadable_rows: UnreadableRows::new(&metrics),
        event_streams: StreamLimits::new(event_streams(&metrics)),
    });
    Ok(http_api::with_middleware(router, ROLE, &metrics, health))
}
