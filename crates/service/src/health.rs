//! Readiness: named checks of what a role depends on.

use std::{pin::Pin, sync::Arc, time::Duration};

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use futures::future::join_all;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

/// How long one check may take.
const PATIENCE: Duration = Duration::from_secs(2);

type Outcome = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;
type Check = Arc<dyn Fn() -> Outcome + Send + Sync>;

/// The checks that decide whether a role is ready.
#[derive(Clone, Default)]
pub struct Health {
    checks: Vec<(&'static str, Check)>,
}

/// What the checks found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// Every check by name, with the reason where it failed.
    pub checks: Vec<(&'static str, Result<(), String>)>,
}

impl Health {
    /// Ready as long as it answers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Also needs `f` to succeed, within two seconds. The reason of a failure is shown to whoever asks, so it
    /// must hold no secrets.
    #[must_use]
    pub fn check<F, Fut>(mut self, name: &'static str, f: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.checks.push((name, Arc::new(move || Box::pin(f()))));
        self
    }

    /// Runs every check, all at once.
    pub async fn ready(&self) -> Readiness {
        let checks = self.checks.iter().map(|(name, check)| async {
            let outcome = tokio::time::timeout(PATIENCE, check()).await;
            (
                *name,
                outcome.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs()))),
            )
        });
        Readiness {
            checks: join_all(checks).await,
        }
    }
}

impl Readiness {
    /// Whether every check succeeded.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.checks.iter().all(|(_, outcome)| outcome.is_ok())
    }
}

impl IntoResponse for Readiness {
    fn into_response(self) -> Response {
        let (status, word) = match self.is_ready() {
            true => (StatusCode::OK, "ready"),
            false => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        };
        let checks: Map<String, Value> = self
            .checks
            .into_iter()
            .map(|(name, outcome)| {
                (
                    name.to_owned(),
                    outcome.err().unwrap_or_else(|| "ok".to_owned()).into(),
                )
            })
            .collect();
        let mut response = (status, Json(json!({"status": word, "checks": checks}))).into_response();
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}
