//! The state of all endpoints.

use std::sync::Arc;

use auth_client::Verifier;
use axum::extract::FromRef;

use crate::{
    changed_tasks::ChangedTasks, endpoints::concurrency_limits::ConcurrencyLimits, handling::CommandHandler,
    idempotency::IdempotencyKeys,
};

#[derive(Clone)]
pub(crate) struct AppState {
    pub(crate) handler: Arc<CommandHandler>,
    pub(crate) keys: Arc<IdempotencyKeys>,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) shares: Arc<ConcurrencyLimits>,
    pub(crate) changed_tasks: ChangedTasks,
}

impl FromRef<AppState> for Arc<Verifier> {
    fn from_ref(state: &AppState) -> Self {
        Arc::clone(&state.verifier)
    }
}
