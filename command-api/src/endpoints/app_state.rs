//! The state of all endpoints.

use std::sync::Arc;

use auth_client::Verifier;
use axum::extract::FromRef;

use super::concurrency_limits::ConcurrencyLimits;
use crate::{changed_tasks::Requests, handling::CommandHandler, idempotency::IdempotencyKeys};

/// The state of all endpoints.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) handler: Arc<CommandHandler>,
    pub(crate) keys: Arc<IdempotencyKeys>,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) shares: Arc<ConcurrencyLimits>,
    pub(crate) requests: Requests,
}

impl FromRef<Api> for Arc<Verifier> {
    fn from_ref(api: &Api) -> Self {
        Arc::clone(&api.verifier)
    }
}
