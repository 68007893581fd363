//! One process of the command side on a stage. Several on one stage are replicas.

use std::{sync::Arc, time::Duration};

use auth_client::Verifier;
use command_api::{Config, Dependencies};
use database::Database;
use event_store::EventStore;
use events::{PartitionCount, RecordedEvent, StreamName, TaskId};
use http_api::HttpService;
use runtime::Background;

use super::{Request, Stage, auth::StubAuth};

pub(crate) struct App {
    pub(crate) router: HttpService,
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) operations: Database,
    pub(crate) read_models: Database,
    background: Background,
}

impl App {
    pub(crate) async fn start(stage: &Stage) -> Self {
        Self::start_on(stage, stage.storage.event_store().await).await
    }

    pub(crate) async fn start_on(stage: &Stage, store: Arc<dyn EventStore>) -> Self {
        let background = Background::new();
        let operations = stage.storage.operations().await;
        let read_models = stage.storage.read_models().await;
        let dependencies = Dependencies {
            store: Arc::clone(&store),
            log: Arc::clone(&store),
            bus: Arc::clone(&stage.bus) as _,
            operations: operations.clone(),
            read_models: read_models.clone(),
            verifier: Verifier::direct(Arc::new(StubAuth)),
            clock: Arc::clone(&stage.clock) as _,
        };
        let config = Config { partitions: PartitionCount::new(4).unwrap(), trash_kept_for: None };
        let router = command_api::start(config, dependencies, &background).await.unwrap();
        Self { router, store, operations, read_models, background }
    }

    pub(crate) async fn stop(self) {
        assert!(self.background.shut_down(Duration::from_secs(60)).await);
        self.operations.close().await;
        self.read_models.close().await;
    }

    pub(crate) fn post(&self, path: &str) -> Request {
        Request::new(self.router.clone(), "POST", path)
    }

    pub(crate) fn patch(&self, path: &str) -> Request {
        Request::new(self.router.clone(), "PATCH", path)
    }

    pub(crate) fn delete(&self, path: &str) -> Request {
        Request::new(self.router.clone(), "DELETE", path)
    }

    pub(crate) fn request(&self, method: &'static str, path: &str) -> Request {
        Request::new(self.router.clone(), method, path)
    }

    /// Creates a task of user 1 and returns its path.
    pub(crate) async fn task(&self) -> String {
        let reply = self.post("/tasks").json(serde_json::json!({"title": "Buy milk"})).await;
        assert_eq!(reply.status, 201, "{}", reply.text);
        reply.header("location").to_owned()
    }

    /// The events of the task at `path`.
    pub(crate) async fn events(&self, path: &str) -> Vec<RecordedEvent> {
        let id: TaskId = path.strip_prefix("/tasks/").unwrap().parse().unwrap();
        let stream = StreamName::task(id);
        self.store.read_stream(&stream, 0, usize::MAX).await.unwrap()
    }

    /// The value of a metric of this process.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let text = self.request("GET", "/metrics").await.text;
        let line = text
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_else(|| panic!("no {name} in\n{text}"));
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.background.stop().cancel();
    }
}
