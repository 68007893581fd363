//! A whole auth role with its own store, keys and clock, and a client of its router.

mod call;
mod requests;

use std::{path::PathBuf, sync::Arc};

use auth::{Argon2Parameters, Config, Dependencies, Granted, Operator, Reset};
use auth_client::{Verifier, VerifierOptions};
use bus::{Bus, InProcessBus};
use database::{Database, Schema, Value};
use event_store::EventStore;
use events::{
    AccountEvent, Actor, Encoded, Event, EventId, Metadata, PartitionCount, PasswordRehashed, RecordedEvent,
    StreamName, Timestamp, UserId,
};
use http_api::HttpService;
use runtime::{Background, Clock};
use sealing::SealedStore;
use tempfile::TempDir;
use test_support::{FaultyStore, TestClock, read_all, subject_keys};

pub(crate) use self::{
    call::Answer,
    requests::{heard, statuses},
};

/// The address of the person whom most tests are about.
pub(crate) const ADA: &str = "ada@example.com";
pub(crate) const PASSWORD: &str = "plum-tractor-canyon";
pub(crate) const WRONG: &str = "not-the-right-one";
/// The password that replaces [`PASSWORD`].
pub(crate) const NEW: &str = "quartz-lantern-river";
/// The id of operators' commands.
pub(crate) const OPERATION: &str = "01a204f4-5231-77cc-84db-0e3c4efea8ff";
pub(crate) const CHEAP: Argon2Parameters = Argon2Parameters { memory_kib: 64, iterations: 1, parallelism: 1 };

pub(crate) struct App {
    pub(crate) router: HttpService,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) config: Config,
    pub(crate) dependencies: Dependencies,
    pub(crate) background: Background,
    directory: Arc<TempDir>,
}

impl App {
    pub(crate) async fn start() -> Self {
        Self::start_with(|store, bus| (store, bus)).await
    }

    /// With a store that can fail.
    pub(crate) async fn start_faulty() -> (Self, Arc<FaultyStore>) {
        let mut faults = None;
        let app = Self::start_with(|store, bus| {
            let faulty = FaultyStore::over(store);
            faults = Some(Arc::clone(&faulty));
            (faulty, bus)
        })
        .await;
        (app, faults.unwrap())
    }

    /// With the store and the bus wrapped.
    pub(crate) async fn start_with(
        wrap: impl FnOnce(Arc<dyn EventStore>, Arc<dyn Bus>) -> (Arc<dyn EventStore>, Arc<dyn Bus>),
    ) -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let path = |name: &str| directory.path().join(name);
        let store = event_store::open(&Database::file_url(&path("events.db")), 4).await.unwrap();
        let keys = subject_keys(directory.path()).await;
        let (store, bus) = wrap(SealedStore::over(store, keys.clone()), InProcessBus::new());
        let url = Database::file_url(&path("read-models.db"));
        let clock = Arc::new(TestClock::standing_at(Timestamp::from_micros(1_800_000_000_123_456)));
        let dependencies = Dependencies {
            store,
            keys,
            bus,
            read_models: Database::open(&url, Schema::ReadModels, 4).await.unwrap(),
            operations: Database::open(&Database::file_url(&path("operations.db")), Schema::Operations, 4)
                .await
                .unwrap(),
            partitions: PartitionCount::new(4).unwrap(),
            clock: Arc::clone(&clock) as _,
        };
        let config = Config { argon2: CHEAP, ..Config::new(path("keys")) };
        Self::over(directory, config, dependencies, clock).await
    }

    /// Another replica of the same role, with other settings if wanted.
    pub(crate) async fn replica(&self, change: impl FnOnce(&mut Config, &mut Dependencies)) -> Self {
        let mut config = self.config.clone();
        let mut dependencies = self.dependencies.clone();
        change(&mut config, &mut dependencies);
        Self::over(Arc::clone(&self.directory), config, dependencies, Arc::clone(&self.clock)).await
    }

    /// The same role, restarted on the same files.
    pub(crate) async fn restarted(&self) -> Self {
        self.restarted_faulty().await.0
    }

    /// The same, with a store that can fail.
    pub(crate) async fn restarted_faulty(&self) -> (Self, Arc<FaultyStore>) {
        let url = Database::file_url(&self.directory.path().join("events.db"));
        let store = event_store::open(&url, 4).await.unwrap();
        let keys = subject_keys(self.directory.path()).await;
        let faults = FaultyStore::over(SealedStore::over(store, keys.clone()));
        let app = self.replica(|_, dependencies| {
            dependencies.store = faults.clone();
            dependencies.keys = keys;
        });
        (app.await, faults)
    }

    /// Restores the log to `position` under the running role.
    pub(crate) async fn cut_log(&self, position: u64) {
        self.damage_log("DELETE FROM events WHERE position > $1", position.into()).await;
    }

    /// Changes the log under the running role.
    pub(crate) async fn damage_log(&self, sql: &str, value: Value) {
        let url = Database::file_url(&self.directory.path().join("events.db"));
        let log = Database::connect(&url, Schema::EventStore, 1).await.unwrap();
        assert!(log.execute(sql, &[value]).await.unwrap() > 0);
        log.close().await;
    }

    /// Makes one record of the log unreadable.
    pub(crate) async fn damage_record(&self, stream: &StreamName, version: u64) {
        let sql = format!("UPDATE events SET encoding = 'morse' WHERE stream = $1 AND version = {version}");
        self.damage_log(&sql, stream.as_str().into()).await;
    }

    /// The database of people's keys.
    pub(crate) async fn keys_database(&self) -> Database {
        let url = Database::file_url(&self.directory.path().join("subject-keys.db"));
        Database::open(&url, Schema::SubjectKeys, 1).await.unwrap()
    }

    async fn over(
        directory: Arc<TempDir>,
        config: Config,
        dependencies: Dependencies,
        clock: Arc<TestClock>,
    ) -> Self {
        let background = Background::new();
        let router = auth::start(config.clone(), dependencies.clone(), &background).await.unwrap();
        Self { router, clock, config, dependencies, background, directory }
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.config.keys_directory.clone()
    }

    /// An operator at the command line of this system.
    pub(crate) async fn operator(&self) -> Operator {
        let operator = Operator::new(&self.config, &self.dependencies);
        operator.await.unwrap()
    }

    /// `taskledger users grant`
    pub(crate) async fn grant(&self, email: &str, role: events::Role) -> Granted {
        let operator = self.operator().await;
        let holder = operator.find(email).await.unwrap();
        operator.grant(holder.user_id, role, OPERATION.into()).await.unwrap()
    }

    /// `taskledger users reset`
    pub(crate) async fn offer_reset(&self, email: &str, removes_second_factor: bool) -> Reset {
        let operator = self.operator().await;
        let id = operator.find(email).await.unwrap().user_id;
        let reset = operator.reset(id, removes_second_factor, OPERATION.into());
        reset.await.unwrap()
    }

    /// The verifier that roles use.
    pub(crate) async fn verifier(&self) -> Arc<Verifier> {
        let options =
            VerifierOptions { clock: self.dependencies.clock.clone(), ..VerifierOptions::default() };
        Verifier::start(self.dependencies.bus.clone(), options, &self.background).await
    }

    pub(crate) async fn log(&self) -> Vec<RecordedEvent> {
        read_all(&*self.dependencies.store, 0, 10_000).await
    }

    pub(crate) async fn kinds(&self) -> Vec<String> {
        self.log().await.into_iter().map(|recorded| recorded.kind).collect()
    }

    /// The payloads of all events of one kind.
    pub(crate) async fn payloads(&self, kind: &str) -> Vec<Event> {
        let log = self.log().await;
        log.iter()
            .filter(|recorded| recorded.kind == kind)
            .map(|recorded| recorded.try_into().unwrap())
            .collect()
    }

    /// Gives an account a password hash as it came from the former system.
    pub(crate) async fn write_password_hash(&self, id: UserId, hash: &str) {
        let event = AccountEvent::from(PasswordRehashed { password_hash: hash.into() });
        self.append(&StreamName::account(id), id, [event.encode()]).await;
    }

    /// Appends events as another program would.
    pub(crate) async fn append(
        &self,
        stream: &StreamName,
        subject: UserId,
        events: impl IntoIterator<Item = Encoded>,
    ) {
        let head = self.dependencies.store.stream_head(stream).await.unwrap();
        let events = events.into_iter().map(|encoded| {
            encoded.into_event(
                EventId(runtime::new_id()),
                Metadata {
                    subject,
                    actor: Actor::Operator,
                    correlation_id: "import".into(),
                    causation_id: runtime::new_id(),
                    traceparent: None,
                    idempotency_key: None,
                },
                self.clock.now(),
            )
        });
        self.dependencies
            .store
            .append(stream, head.map_or(0, |head| head.version), events.collect())
            .await
            .unwrap();
    }
}
