//! Readiness: named checks of what a role depends on, run at most twice a second however often they are asked for.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use api_types::ReadinessStatus;
use axum::{
    Json,
    response::{IntoResponse, Response},
};
use futures::future::join_all;
use http::{HeaderValue, StatusCode, header};
use parking_lot::RwLock;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::{sync::Mutex, time::Instant};

/// How long one check may take.
const TIMEOUT: Duration = Duration::from_secs(1);
/// The results of the checks are reused for this long.
const FRESH: Duration = Duration::from_millis(500);
/// The maximum age of results that the public address shows. While a check hangs, they become older than this before
/// it is given up: then requests wait for it. A shorter [`TIMEOUT`] would report slow dependencies as failed.
const RECENT: Duration = Duration::from_secs(1);

/// The read models belong to the log.
pub const LOG: &str = "log";
/// The database of the read models.
pub const READ_MODELS: &str = "read-models";
/// The message bus.
const BUS: &str = "bus";

/// A server that a role may need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// The event log, which must accept appends.
    EventStore,
    /// The database of the read models.
    ReadModels,
    /// The database of idempotency keys, snapshots and the relay's progress, which must accept writes.
    Operations,
}

type Outcome = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;
type Check = Arc<dyn Fn() -> Outcome + Send + Sync>;

/// The checks that decide whether a role is ready.
#[derive(Clone, Default)]
pub struct Health {
    checks: Vec<(&'static str, Check)>,
    /// The last results and their time.
    found: Arc<RwLock<Option<(Instant, Readiness)>>>,
    /// Locked while the checks run, so that concurrent requests share one run.
    running: Arc<Mutex<()>>,
    /// Whether every check has succeeded once.
    started: Arc<AtomicBool>,
}

/// A request extension: the process is about to stop, so it reports that it is not ready.
#[derive(Debug, Clone, Copy)]
pub struct Leaving;

/// The results of the checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// Every check by name, with the reason where it failed.
    pub checks: Vec<(&'static str, Result<(), String>)>,
}

impl Health {
    /// Ready as long as it answers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Also needs `f` to succeed, within a second. The reason of a failure is shown to operators, so it must hold no
    /// secrets.
    #[must_use]
    pub fn check<F, Fut>(mut self, name: &'static str, f: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.checks.push((name, Arc::new(move || Box::pin(f()))));
        self
    }

    /// Also needs `question` about `server` to succeed. Its own error may contain secrets, so another reason is shown
    /// instead.
    #[must_use]
    pub fn server<T, Fut, E>(
        self,
        server: Server,
        connection: T,
        question: impl Fn(T) -> Fut + Send + Sync + 'static,
    ) -> Self
    where
        T: Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
    {
        let (name, reason) = match server {
            Server::EventStore => ("event-store", "the event store takes no appends"),
            Server::ReadModels => (READ_MODELS, "the read models do not answer"),
            Server::Operations => ("operations", "the operations database takes no writes"),
        };
        self.check(name, move || {
            let answer = question(connection.clone());
            async move { answer.await.map_err(|_| reason.to_owned()) }
        })
    }

    /// Also needs `complaint` to find nothing. It only looks at what the process knows already.
    #[must_use]
    pub fn without_complaint<C: Into<String>>(
        self,
        name: &'static str,
        complaint: impl Fn() -> Option<C> + Send + Sync + 'static,
    ) -> Self {
        self.check(name, move || {
            let outcome = complaint().map_or(Ok(()), |complaint| Err(complaint.into()));
            async move { outcome }
        })
    }

    /// Also needs the bus to be connected.
    #[must_use]
    pub fn bus(self, is_connected: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.without_complaint(BUS, move || (!is_connected()).then_some("not connected to the message bus"))
    }

    /// The results of the checks, at most a second old.
    pub async fn ready(&self) -> Readiness {
        let _running = self.running.lock().await;
        if let Some(readiness) = self.found_within(FRESH) {
            return readiness;
        }
        let readiness = self.run().await;
        let found = Some((Instant::now(), readiness.clone()));
        *self.found.write() = found;
        readiness
    }

    /// Results that are at most a second old. While the checks run, only one of the requests waits for them, unless the
    /// last results are older.
    pub(crate) async fn recently_ready(&self) -> Readiness {
        if self.running.try_lock().is_err()
            && let Some(readiness) = self.found_within(RECENT)
        {
            return readiness;
        }
        self.ready().await
    }

    fn found_within(&self, age: Duration) -> Option<Readiness> {
        let found = self.found.read();
        let (at, readiness) = found.as_ref()?;
        (at.elapsed() < age).then(|| readiness.clone())
    }

    /// The results until all checks have once succeeded at the same time; after that, always success.
    pub async fn started(&self) -> Readiness {
        if self.started.load(Ordering::Relaxed) {
            return Readiness { checks: Vec::new() };
        }
        let readiness = self.ready().await;
        if readiness.is_ready() {
            self.started.store(true, Ordering::Relaxed);
        }
        readiness
    }

    /// Runs all checks concurrently.
    async fn run(&self) -> Readiness {
        let checks = self.checks.iter().map(|(name, check)| async {
            let outcome = tokio::time::timeout(TIMEOUT, check()).await;
            (*name, outcome.unwrap_or_else(|_| Err(format!("no answer within {} s", TIMEOUT.as_secs()))))
        });
        Readiness { checks: join_all(checks).await }
    }
}

impl Readiness {
    pub(crate) fn leaving() -> Self {
        let checks = vec![("process", Err("it is about to stop".to_owned()))];
        Self { checks }
    }

    /// Whether every check succeeded.
    pub fn is_ready(&self) -> bool {
        self.checks.iter().all(|(_, outcome)| outcome.is_ok())
    }

    /// The answer for strangers: whether it is ready, without the reasons.
    pub(crate) fn without_reasons(&self) -> Response {
        self.answer(api_types::Readiness { status: self.word() })
    }

    fn word(&self) -> ReadinessStatus {
        match self.is_ready() {
            true => ReadinessStatus::Ready,
            false => ReadinessStatus::Unavailable,
        }
    }

    fn answer(&self, body: impl Serialize) -> Response {
        let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
        match self.is_ready() {
            true => (no_store, Json(body)).into_response(),
            false => {
                let retry_after = [(header::RETRY_AFTER, HeaderValue::from(RECENT.as_secs()))];
                let status = StatusCode::SERVICE_UNAVAILABLE;
                (status, no_store, retry_after, Json(body)).into_response()
            }
        }
    }
}

impl IntoResponse for Readiness {
    fn into_response(self) -> Response {
        let checks: Map<String, Value> = self
            .checks
            .iter()
            .map(|(name, outcome)| {
                let word = outcome.as_ref().err().map_or("ok", String::as_str);
                ((*name).to_owned(), word.into())
            })
            .collect();
        self.answer(json!({"status": self.word(), "checks": checks}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_has_started_once_has_started_whatever_happens_later() {
        let is_well = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&is_well);
        let health = Health::new().check("log", move || {
            let is_well = asked.load(Ordering::Relaxed);
            async move { is_well.then_some(()).ok_or_else(|| "not yet".to_owned()) }
        });
        assert!(!health.started().await.is_ready());
        is_well.store(true, Ordering::Relaxed);
        tokio::time::advance(FRESH).await;
        assert!(health.started().await.is_ready());
        is_well.store(false, Ordering::Relaxed);
        tokio::time::advance(FRESH).await;
        assert!(!health.ready().await.is_ready());
        assert!(health.started().await.is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn strangers_do_not_wait_for_checks_that_another_waits_for() {
        let health = Health::new().check("log", || async {
            tokio::time::sleep(TIMEOUT / 2).await;
            Ok(())
        });
        let asked = async || {
            let began = Instant::now();
            assert!(health.recently_ready().await.is_ready());
            // Timers are at most a millisecond late.
            began.elapsed().as_millis() / 100
        };
        let waits = TIMEOUT.as_millis() / 200;
        // There are no results yet.
        assert_eq!(tokio::join!(asked(), asked()), (waits, waits));
        tokio::time::advance(FRESH).await;
        assert_eq!(tokio::join!(asked(), asked()), (waits, 0));
        // The results are too old.
        tokio::time::advance(RECENT).await;
        assert_eq!(tokio::join!(asked(), asked()), (waits, waits));
    }

    #[tokio::test(start_paused = true)]
    async fn strangers_see_after_a_second_that_a_check_hangs() {
        let hangs = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&hangs);
        let health = Health::new().check("log", move || {
            let hangs = asked.load(Ordering::Relaxed);
            async move {
                match hangs {
                    true => std::future::pending().await,
                    false => Ok(()),
                }
            }
        });
        assert!(health.recently_ready().await.is_ready());
        hangs.store(true, Ordering::Relaxed);
        let asked_after = async |milliseconds| {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            health.recently_ready().await.is_ready()
        };
        // The second request begins the checks, and waits for them.
        let found = tokio::join!(asked_after(400), asked_after(500), asked_after(900), asked_after(1_000));
        assert_eq!(found, (true, false, true, false));
    }
}
