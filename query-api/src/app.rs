//! What the endpoints share.

use std::sync::Arc;

use auth_client::Verifier;
use axum::extract::FromRef;
use database::Database;
use runtime::Clock;

use crate::{
    admission::Admission,
    checkpoints::Checkpoints,
    cursor_key::CursorKey,
    log_identity::LogIdentity,
    metrics::{UnreadableRows, Waiting},
};

/// What the endpoints share.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) read_models: Database,
    pub(crate) admission: Admission,
    pub(crate) checkpoints: Arc<Checkpoints>,
    pub(crate) log: LogIdentity,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) cursor_key: CursorKey,
    pub(crate) waiting: Waiting,
    pub(crate) unreadable_rows: UnreadableRows,
}

impl FromRef<App> for Arc<Verifier> {
    fn from_ref(app: &App) -> Self {
        Arc::clone(&app.verifier)
    }
}
