//! The environment of a test: databases of its own, a bus, and projectors.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use bus::{Bus, InProcessBus};
use database::{Database, Row, Schema};
use event_store::EventStore;
use events::{PartitionCount, StreamName};
use http_api::HttpService;
use projector::{Config, Dependencies, Rebuild, Report, Tuning};
use runtime::Background;
use tempfile::TempDir;
use test_support::TestDatabase;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

pub(crate) use test_support::eventually;

const TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) struct Fixture {
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) read_models: Database,
    place: Place,
}

enum Place {
    Directory { directory: TempDir },
    Server(TestDatabase),
}

pub(crate) struct Running {
    router: HttpService,
    background: Background,
}

pub(crate) fn partitions(count: u16) -> PartitionCount {
    PartitionCount::new(count).unwrap()
}

/// Small batches and short pauses, so that a test meets many of them.
pub(crate) fn pace() -> Tuning {
    Tuning {
        batch: 7,
        page: 16,
        heartbeat: Duration::from_millis(50),
        sample: Duration::from_millis(200),
        shortest_pause: Duration::from_millis(5),
        longest_pause: Duration::from_millis(50),
    }
}

/// What the role says of its readiness.
pub(crate) async fn readiness(running: &Running) -> String {
    running.get("/health/ready").await.1
}

impl Fixture {
    pub(crate) async fn sqlite() -> Self {
        let directory = TempDir::new().unwrap();
        let url = |file| Database::file_url(&directory.path().join(file));
        Self {
            store: event_store::open(&url("events.db"), 2).await.unwrap(),
            read_models: Database::open(&url("read-models.db"), Schema::ReadModels, 4).await.unwrap(),
            place: Place::Directory { directory },
        }
    }

    pub(crate) async fn postgres() -> Self {
        let server = TestDatabase::create().await;
        let url = server.url();
        Self {
            store: event_store::open(url.as_str(), 2).await.unwrap(),
            read_models: Database::open(url.as_str(), Schema::ReadModels, 8).await.unwrap(),
            place: Place::Server(server),
        }
    }

    /// An empty log with empty read models on the same kind of database.
    pub(crate) async fn fresh_log(&self) -> Self {
        match &self.place {
            Place::Directory { .. } => Self::sqlite().await,
            Place::Server(_) => Self::postgres().await,
        }
    }

    /// Empty read models over the same log.
    pub(crate) async fn fresh_read_models(&self) -> Self {
        Self { store: self.store.clone(), ..self.fresh_log().await }
    }

    /// The same read models over `store`.
    pub(crate) fn over(self, store: Arc<dyn EventStore>) -> Self {
        Self { store, ..self }
    }

    pub(crate) async fn project(&self, count: u16, bus: Arc<dyn Bus>) -> Running {
        self.project_at_pace(pace(), count, bus).await
    }

    pub(crate) async fn project_at_pace(&self, pace: Tuning, count: u16, bus: Arc<dyn Bus>) -> Running {
        let background = Background::new();
        let dependencies = Dependencies {
            store: self.store.clone(),
            bus,
            read_models: self.read_models.clone(),
            audit: None,
        };
        let config = Config { partitions: partitions(count) };
        let router = projector::start_with_tuning(config, pace, dependencies, &background).await.unwrap();
        Running { router, background }
    }

    /// Projects the whole log, then stops.
    pub(crate) async fn catch_up(&self, count: u16) -> Report {
        let running = self.project(count, InProcessBus::new()).await;
        let report = self.caught_up().await;
        running.stop().await;
        report
    }

    /// Waits until the whole log is projected, and checks that there is no difference.
    pub(crate) async fn caught_up(&self) -> Report {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let report = self.report().await;
            let lags =
                report.differences.iter().any(|difference| difference.starts_with("the projection is at"));
            if !lags || Instant::now() > deadline {
                assert_eq!(report.differences, Vec::<String>::new());
                return report;
            }
        }
    }

    pub(crate) async fn report(&self) -> Report {
        let report = projector::verify(self.store.as_ref(), &self.read_models).await;
        report.unwrap()
    }

    pub(crate) async fn sample(&self, size: usize) -> Report {
        let report = projector::verify_sample(self.store.as_ref(), &self.read_models, size).await;
        report.unwrap()
    }

    /// Retries what is parked of `stream`. Returns how many events were projected, and how many are still parked.
    pub(crate) async fn retry(&self, stream: &StreamName) -> (u64, u64) {
        let retried = projector::retry(self.store.as_ref(), &self.read_models, stream).await;
        let retried = retried.unwrap();
        (retried.projected, retried.parked)
    }

    pub(crate) async fn rebuild(&self, count: u16) -> Rebuild {
        let rebuild = Rebuild::open(&self.url(), self.store.clone(), partitions(count), pace()).await;
        rebuild.unwrap()
    }

    /// A rebuild whose tables are at the end of the log.
    pub(crate) async fn built(&self, count: u16) -> Rebuild {
        let rebuild = self.rebuild(count).await;
        assert!(rebuild.build(&CancellationToken::new(), |_| {}).await.unwrap());
        rebuild
    }

    pub(crate) async fn rows(&self, sql: &str) -> Vec<Row> {
        self.read_models.fetch_all(sql, &[]).await.unwrap()
    }

    pub(crate) async fn count(&self, table: &str) -> u64 {
        self.rows(&format!("SELECT COUNT(*) AS rows FROM {table}")).await[0].unsigned("rows").unwrap()
    }

    pub(crate) async fn run(&self, sql: &str) {
        self.read_models.execute(sql, &[]).await.unwrap();
    }

    /// The URL of the read models.
    pub(crate) fn url(&self) -> String {
        match &self.place {
            Place::Directory { directory } => Database::file_url(&directory.path().join("read-models.db")),
            Place::Server(server) => server.url().into(),
        }
    }

    /// Deletes every event above `after`, as a restore from a backup or a failover does.
    pub(crate) async fn cut_log(&self, after: u64) {
        self.damage_log(&format!("DELETE FROM events WHERE position > {after}")).await;
    }

    /// Changes the log directly.
    pub(crate) async fn damage_log(&self, sql: &str) {
        let url = match &self.place {
            Place::Directory { directory } => Database::file_url(&directory.path().join("events.db")),
            Place::Server(_) => self.url(),
        };
        let log = Database::connect(&url, Schema::EventStore, 1).await.unwrap();
        assert!(log.execute(sql, &[]).await.unwrap() > 0);
        log.close().await;
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.read_models.is_postgres()
    }
}

impl Running {
    pub(crate) async fn get(&self, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    pub(crate) async fn stop(self) {
        assert!(self.background.shut_down(TIMEOUT).await, "the projector stops");
    }
}
