//! The state of all endpoints.

use std::sync::Arc;

use audit_tree::AuditTree;
use auth_client::Verifier;
use axum::extract::FromRef;
use database::Database;
use event_store::EventStore;
use http_api::CursorKey;
use read_models::Projection;
use runtime::Clock;

use crate::{
    admission::{Admission, Cost},
    metrics::QueryMetrics,
    stream_limits::StreamLimits,
    stream_wakeups::StreamWakeups,
};

#[derive(Clone)]
pub(crate) struct AppState {
    pub(crate) read_models: Database,
    pub(crate) audit_tree: AuditTree,
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) admission: Admission,
    pub(crate) projection: Arc<Projection>,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) cursor_key: CursorKey,
    pub(crate) metrics: QueryMetrics,
    pub(crate) event_streams: StreamLimits,
    pub(crate) stream_wakeups: StreamWakeups,
}

impl AppState {
    /// The read models for a query of this cost: one that reads all of somebody's tasks gives way to the others.
    pub(crate) fn read_models_at(&self, cost: Cost) -> Database {
        match cost {
            Cost::High => self.read_models.with_low_priority(),
            Cost::Ordinary | Cost::Stream => self.read_models.clone(),
        }
    }
}

impl FromRef<AppState> for Arc<Verifier> {
    fn from_ref(state: &AppState) -> Self {
        Arc::clone(&state.verifier)
    }
}
