//! The stores, databases and connections that roles use. Each is opened when a role of the process first needs it, and
//! is shared by all roles.

use std::sync::Arc;

use auth_client::{Verifier, VerifierOptions};
use bus::Bus;
use database::{Database, Schema};
use event_store::EventStore;
use runtime::Background;
use tokio::sync::OnceCell;

use crate::{
    lost_log,
    platform::{self, EventLog},
    settings::Settings,
};

pub(crate) struct Dependencies<'a> {
    settings: &'a Settings,
    /// The name of the process on the bus.
    name: &'static str,
    stored_log: OnceCell<Arc<dyn EventStore>>,
    log: OnceCell<EventLog>,
    bus: OnceCell<Arc<dyn Bus>>,
    operations: OnceCell<Database>,
    read_models: OnceCell<Database>,
    verifier: OnceCell<Arc<Verifier>>,
}

impl<'a> Dependencies<'a> {
    /// Opens nothing yet.
    pub(crate) fn new(settings: &'a Settings, name: &'static str) -> Self {
        Self {
            settings,
            name,
            stored_log: OnceCell::new(),
            log: OnceCell::new(),
            bus: OnceCell::new(),
            operations: OnceCell::new(),
            read_models: OnceCell::new(),
            verifier: OnceCell::new(),
        }
    }

    pub(crate) async fn auth(&self) -> anyhow::Result<auth::Dependencies> {
        let log = self.log().await?;
        Ok(auth::Dependencies {
            store: Arc::clone(&log.opened),
            keys: log.keys.clone(),
            bus: self.bus().await?,
            read_models: self.read_models().await?,
            operations: self.operations().await?,
            partitions: self.settings.storage.partitions,
            clock: platform::clock(),
        })
    }

    pub(crate) async fn command_api(
        &self,
        background: &Background,
    ) -> anyhow::Result<command_api::Dependencies> {
        let log = self.log().await?;
        Ok(command_api::Dependencies {
            store: Arc::clone(&log.opened),
            log: Arc::clone(&log.stored),
            bus: self.bus().await?,
            operations: self.operations().await?,
            read_models: self.read_models().await?,
            verifier: self.verifier(background).await?,
            clock: platform::clock(),
        })
    }

    /// The query API gets no keys of people, since it decrypts no event.
    pub(crate) async fn query_api(&self, background: &Background) -> anyhow::Result<query_api::Dependencies> {
        Ok(query_api::Dependencies {
            store: self.stored_log().await?,
            read_models: self.read_models().await?,
            verifier: self.verifier(background).await?,
            audit_tree: platform::audit_tree(&self.settings.storage).await?,
            clock: platform::clock(),
        })
    }

    pub(crate) async fn projector(&self) -> anyhow::Result<projector::Dependencies> {
        Ok(projector::Dependencies {
            store: Arc::clone(&self.log().await?.opened),
            bus: self.bus().await?,
            read_models: self.read_models().await?,
            audit: Some(platform::audit_keeping(self.settings).await?),
        })
    }

    /// RabbitMQ, or without it the bus within this process.
    pub(crate) async fn bus(&self) -> anyhow::Result<Arc<dyn Bus>> {
        let open = async || platform::bus(&self.settings.storage, self.name).await;
        self.bus.get_or_try_init(open).await.cloned()
    }

    /// The database with the records of the roles.
    async fn operations(&self) -> anyhow::Result<Database> {
        let open = async || platform::database(&self.settings.storage, Schema::Operations).await;
        self.operations.get_or_try_init(open).await.cloned()
    }

    async fn read_models(&self) -> anyhow::Result<Database> {
        let open = async || platform::database(&self.settings.storage, Schema::ReadModels).await;
        self.read_models.get_or_try_init(open).await.cloned()
    }

    /// The log, with the events as they are stored.
    async fn stored_log(&self) -> anyhow::Result<Arc<dyn EventStore>> {
        let open = async || lost_log::event_store(self.settings).await;
        self.stored_log.get_or_try_init(open).await.cloned()
    }

    async fn log(&self) -> anyhow::Result<&EventLog> {
        let open = async || platform::event_log_of(self.settings, self.stored_log().await?).await;
        self.log.get_or_try_init(open).await
    }

    /// The caching verifier of access tokens that the roles of this process share.
    pub(crate) async fn verifier(&self, background: &Background) -> anyhow::Result<Arc<Verifier>> {
        let start = async || {
            let bus = self.bus().await?;
            Ok(Verifier::start(bus, VerifierOptions::default(), background).await)
        };
        self.verifier.get_or_try_init(start).await.cloned()
    }
}
