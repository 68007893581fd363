//! The relay: everything in the log reaches the bus, in order, chained, whoever is in office.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use auth_client::{REVOCATIONS, Revocation};
use bus::{
    Bus, BusError, EventConsumer, EventMessage, Heard, InProcessBus, Listener, Responder, ResponderOptions,
};
use bytes::Bytes;
use event_store::EventStore;
use events::{
    Actor, Encoding, EventId, Metadata, NewEvent, PartitionCount, RecordedEvent, SessionId, StreamName,
    Timestamp, UserId,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    contention::on_both_footings,
    support::{App, Footing, Stage, eventually, user},
};

/// The stage's bus, with an ear on what is published and a switch.
struct Recorder {
    inner: Arc<dyn Bus>,
    heard: Mutex<Vec<EventMessage>>,
    down: AtomicBool,
    cut_off: AtomicBool,
}

impl Recorder {
    fn on(stage: &mut Stage) -> Arc<Self> {
        let inner = Arc::clone(&stage.bus);
        let recorder = Arc::new(Self {
            inner,
            heard: Mutex::default(),
            down: AtomicBool::new(false),
            cut_off: AtomicBool::new(false),
        });
        stage.bus = Arc::clone(&recorder) as _;
        recorder
    }

    fn heard(&self) -> Vec<EventMessage> {
        self.heard.lock().unwrap().clone()
    }

    fn forget(&self) {
        self.heard.lock().unwrap().clear();
    }

    async fn has_heard(&self, count: usize) {
        eventually("everything is published", async || self.heard().len() >= count).await;
    }
}

#[async_trait]
impl Bus for Recorder {
    async fn publish(&self, messages: &[EventMessage]) -> Result<(), BusError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(BusError::unavailable("switched off"));
        }
        self.inner.publish(messages).await?;
        self.heard.lock().unwrap().extend_from_slice(messages);
        Ok(())
    }

    async fn consume(
        &self,
        partitions: PartitionCount,
        partition: u16,
    ) -> Result<Box<dyn EventConsumer>, BusError> {
        self.inner.consume(partitions, partition).await
    }

    async fn request(&self, queue: &str, request: Bytes, deadline: Duration) -> Result<Bytes, BusError> {
        self.inner.request(queue, request, deadline).await
    }

    async fn serve(
        &self,
        queue: &str,
        options: ResponderOptions,
        responder: Arc<dyn Responder>,
        stop: CancellationToken,
    ) -> Result<(), BusError> {
        self.inner.serve(queue, options, responder, stop).await
    }

    async fn broadcast(&self, topic: &str, message: Bytes) -> Result<(), BusError> {
        self.inner.broadcast(topic, message).await
    }

    async fn listen(&self, topic: &str) -> Result<Box<dyn Listener>, BusError> {
        self.inner.listen(topic).await
    }

    fn is_connected(&self) -> bool {
        !self.cut_off.load(Ordering::SeqCst) && self.inner.is_connected()
    }
}

async fn create(app: &App, users: std::ops::Range<u128>) {
    for n in users {
        let reply = app
            .post("/tasks")
            .by(user(n))
            .json(json!({"title": "a"}))
            .send()
            .await;
        assert_eq!(reply.status, 201);
    }
}

/// Asserts that `messages` are the log from `first` to `last`, once each, in order and chained in each partition.
#[track_caller]
fn is_log(messages: &[EventMessage], first: u64, last: u64) {
    let mut positions: Vec<u64> = messages.iter().map(|message| message.event.position).collect();
    // Partitions do not wait for each other.
    positions.sort_unstable();
    assert_eq!(positions, (first..=last).collect::<Vec<_>>());
    let partitions = PartitionCount::new(4).unwrap();
    let mut chain = [None; 4];
    for message in messages {
        assert_eq!(message.partitions, partitions);
        assert_eq!(message.partition, partitions.of(message.event.metadata.subject));
        let last = &mut chain[usize::from(message.partition)];
        if let Some(last) = *last {
            assert_eq!(message.previous, last);
        } else if first == 1 {
            assert_eq!(message.previous, 0);
        } else {
            assert!(message.previous < first);
        }
        *last = Some(message.event.position);
    }
}

async fn publishes_the_log_in_order(footing: Footing) {
    let mut stage = Stage::new(footing).await;
    let recorder = Recorder::on(&mut stage);
    let app = App::start(&stage).await;
    create(&app, 1..25).await;
    recorder.has_heard(24).await;
    is_log(&recorder.heard(), 1, 24);
    let used: BTreeSet<u16> = recorder.heard().iter().map(|message| message.partition).collect();
    assert_eq!(used.len(), 4);
    assert_eq!(app.metric("taskledger_relay_position").await, 24.0);
    assert_eq!(app.metric("taskledger_relay_published_total").await, 24.0);
    eventually("no lag", async || {
        app.metric("taskledger_relay_lag_events").await == 0.0
    })
    .await;
}

async fn goes_on_where_it_stopped_with_the_same_chain(footing: Footing) {
    let mut stage = Stage::new(footing).await;
    let recorder = Recorder::on(&mut stage);
    let app = App::start(&stage).await;
    create(&app, 1..13).await;
    recorder.has_heard(12).await;
    app.stop().await;
    let app = App::start(&stage).await;
    create(&app, 1..13).await;
    recorder.has_heard(24).await;
    is_log(&recorder.heard(), 1, 24);
}

async fn starts_from_the_beginning_of_a_short_log_without_progress(footing: Footing) {
    let mut stage = Stage::new(footing).await;
    let recorder = Recorder::on(&mut stage);
    let app = App::start(&stage).await;
    create(&app, 1..9).await;
    recorder.has_heard(8).await;
    let operations = app.operations.clone();
    eventually("progress is saved", async || {
        let rows = operations
            .fetch_all("SELECT read_up_to FROM relay_progress", &[])
            .await
            .unwrap();
        rows.len() == 4 && rows.iter().all(|row| row.integer("read_up_to").unwrap() == 8)
    })
    .await;
    operations
        .execute("DELETE FROM relay_progress", &[])
        .await
        .unwrap();
    app.stop().await;
    recorder.forget();
    let _app = App::start(&stage).await;
    recorder.has_heard(8).await;
    is_log(&recorder.heard(), 1, 8);
}

async fn goes_on_at_the_end_of_a_long_log_without_progress(footing: Footing) {
    let mut stage = Stage::new(footing).await;
    let recorder = Recorder::on(&mut stage);
    let store = stage.store().await;
    fill(&*store, 600).await;
    let app = App::start(&stage).await;
    eventually("it is at the end", async || {
        app.metric("taskledger_relay_position").await == 600.0
    })
    .await;
    create(&app, 1..9).await;
    recorder.has_heard(8).await;
    let heard = recorder.heard();
    is_log(&heard, 601, 608);
    let mut begun = BTreeSet::new();
    for message in heard.iter().filter(|message| begun.insert(message.partition)) {
        assert_eq!(message.previous, 600, "whoever is behind reads the store");
    }
}

/// Events whose payloads were dropped are no messages. Whoever lacks them finds out by the next one, and reads the log.
async fn what_was_dropped_is_left_to_the_log(footing: Footing) {
    let mut stage = Stage::new(footing).await;
    let recorder = Recorder::on(&mut stage);
    let store = stage.store().await;
    let stream = StreamName::raw(format!("task-{}", Uuid::new_v4()));
    let events = (0..3).map(|_| an_event_about(user(1))).collect();
    store.append(&stream, 0, events).await.unwrap();
    let second = store.stored_page(1, 1).await.unwrap().events.remove(0);
    store.drop_payloads(&[second.digest()]).await.unwrap();
    let app = App::start(&stage).await;
    recorder.has_heard(2).await;
    let heard = recorder.heard();
    let places: Vec<_> = heard
        .iter()
        .map(|message| (message.event.position, message.previous))
        .collect();
    assert_eq!(places, [(1, 0), (3, 2)]);
    assert_eq!(app.metric("taskledger_relay_passed_over_total").await, 0.0);
}

/// The log loses its end, as after a restore or a failover, and goes on with other events.
async fn goes_back_with_a_log_that_was_cut(footing: Footing) {
    let mut stage = Stage::new(footing).await;
    let recorder = Recorder::on(&mut stage);
    let app = App::start(&stage).await;
    create(&app, 1..13).await;
    recorder.has_heard(12).await;
    stage.cut_log(6).await;
    recorder.forget();
    // While it runs; as many as were lost and more, so that no position is missing.
    let store = stage.store().await;
    fill(&*store, 10).await;
    let whole = store.read_all(0, 100).await.unwrap();
    let is_published = async || {
        let heard = recorder.heard();
        let real = |event: &&RecordedEvent| heard.iter().any(|message| message.event == **event);
        whole.iter().skip(6).filter(real).count() == 10
    };
    eventually("what is in the log now is published", is_published).await;
    assert!(app.metric("taskledger_relay_log_mismatch_total").await >= 1.0);
    let saved = async || {
        let rows = app
            .operations
            .fetch_all("SELECT event_id FROM relay_progress", &[])
            .await
            .unwrap();
        let last = whole.last().map(|event| event.id.0);
        rows.iter()
            .all(|row| row.optional_uuid("event_id").unwrap() == last)
    };
    eventually("progress goes back", saved).await;

    // And at start.
    app.stop().await;
    stage.cut_log(8).await;
    fill(&*store, 20).await;
    recorder.forget();
    let _app = App::start(&stage).await;
    recorder.has_heard(28).await;
    is_log(&recorder.heard(), 1, 28);
}

/// What an auth leaves behind that dies after its append.
#[tokio::test]
async fn what_has_ended_is_told_though_auth_could_not() {
    let stage = Stage::sqlite().await;
    let mut listener = stage.bus.listen(REVOCATIONS).await.unwrap();
    let app = App::start(&stage).await;
    let (account, session) = (user(7), SessionId(Uuid::from_u128(8)));
    let ended: [(StreamName, &str, Revocation); 10] = [
        (
            StreamName::session(session),
            "session.ended",
            Revocation::Session(session),
        ),
        (
            StreamName::account(account),
            "account.password_changed",
            Revocation::Account(account),
        ),
        (
            StreamName::account(account),
            "account.roles_changed",
            Revocation::Account(account),
        ),
        (
            StreamName::account(account),
            "account.disabled",
            Revocation::Account(account),
        ),
        (
            StreamName::account(account),
            "account.enabled",
            Revocation::Account(account),
        ),
        (
            StreamName::account(account),
            "account.sessions_ended",
            Revocation::Account(account),
        ),
        (
            StreamName::account(account),
            "account.token_revoked",
            Revocation::Account(account),
        ),
        (
            StreamName::account(account),
            "account.password_reset",
            Revocation::Account(account),
        ),
        (StreamName::admins(), "admins.added", Revocation::Account(account)),
        (
            StreamName::admins(),
            "admins.removed",
            Revocation::Account(account),
        ),
    ];
    for (stream, kind, revocation) in ended {
        // What ends nothing is not told.
        for kind in ["account.renamed", kind] {
            let head = app.store.stream_head(&stream).await.unwrap();
            let version = head.map_or(0, |head| head.version);
            let event = NewEvent {
                kind: kind.to_owned(),
                ..an_event_about(account)
            };
            if kind != "account.renamed" || stream == StreamName::account(account) {
                app.store.append(&stream, version, vec![event]).await.unwrap();
            }
        }
        let heard = tokio::time::timeout(Duration::from_secs(10), listener.next())
            .await
            .unwrap();
        assert_eq!(heard, Heard::Message(revocation.encode()), "{kind}");
    }
}

/// Appends so many events to a stream of its own.
async fn fill(store: &dyn EventStore, count: u128) {
    let events = (0..count).map(|number| an_event_about(user(number % 20 + 1)));
    let stream = StreamName::raw(format!("task-{}", Uuid::new_v4()));
    store.append(&stream, 0, events.collect()).await.unwrap();
}

fn an_event_about(subject: UserId) -> NewEvent {
    NewEvent {
        id: EventId(Uuid::new_v4()),
        kind: "task.started".to_owned(),
        schema_version: 1,
        encoding: Encoding::Json,
        data: Bytes::from_static(b"{}"),
        metadata: Metadata {
            subject,
            actor: Actor::System,
            correlation_id: String::new().into(),
            causation_id: Uuid::nil(),
            traceparent: None,
            idempotency_key: None,
        },
        recorded_at: Timestamp::from_micros(0),
    }
}

async fn keeps_the_order_while_the_bus_is_down(footing: Footing) {
    let mut stage = Stage::new(footing).await;
    let recorder = Recorder::on(&mut stage);
    recorder.down.store(true, Ordering::SeqCst);
    let app = App::start(&stage).await;
    create(&app, 1..13).await;
    eventually("publishing failed", async || {
        app.metric("taskledger_relay_publish_failures_total").await >= 2.0
    })
    .await;
    recorder.down.store(false, Ordering::SeqCst);
    create(&app, 1..5).await;
    recorder.has_heard(16).await;
    is_log(&recorder.heard(), 1, 16);
}

async fn a_stop_does_not_wait_for_the_bus(footing: Footing) {
    let mut stage = Stage::new(footing).await;
    let recorder = Recorder::on(&mut stage);
    let app = App::start(&stage).await;
    create(&app, 1..5).await;
    recorder.has_heard(4).await;
    recorder.down.store(true, Ordering::SeqCst);
    create(&app, 1..5).await;
    tokio::time::timeout(Duration::from_secs(5), app.stop())
        .await
        .expect("the role does not stop");
    recorder.down.store(false, Ordering::SeqCst);
    let _app = App::start(&stage).await;
    recorder.has_heard(8).await;
    is_log(&recorder.heard(), 1, 8);
}

async fn one_of_two_is_active_and_the_other_takes_over(footing: Footing) {
    let mut stage = Stage::new(footing).await;
    let recorder = Recorder::on(&mut stage);
    let one = App::start(&stage).await;
    eventually("the first is in office", async || {
        one.metric("taskledger_relay_active").await == 1.0
    })
    .await;
    let two = App::start(&stage).await;
    create(&two, 1..13).await;
    recorder.has_heard(12).await;
    assert_eq!(two.metric("taskledger_relay_active").await, 0.0);
    one.stop().await;
    eventually("the second is in office", async || {
        two.metric("taskledger_relay_active").await == 1.0
    })
    .await;
    create(&two, 1..13).await;
    recorder.has_heard(24).await;
    is_log(&recorder.heard(), 1, 24);
}

async fn a_relay_that_is_cut_off_from_the_bus_leaves_it_to_another(footing: Footing) {
    let mut stage = Stage::new(footing).await;
    let cut_off = Recorder::on(&mut stage);
    let one = App::start(&stage).await;
    let leads = async |app: &App| app.metric("taskledger_relay_active").await == 1.0;
    eventually("the first leads", async || leads(&one).await).await;
    stage.bus = InProcessBus::new();
    let recorder = Recorder::on(&mut stage);
    let two = App::start(&stage).await;
    cut_off.down.store(true, Ordering::SeqCst);
    cut_off.cut_off.store(true, Ordering::SeqCst);
    create(&one, 1..13).await;
    eventually("the second leads", async || leads(&two).await).await;
    recorder.has_heard(12).await;
    is_log(&recorder.heard(), 1, 12);
    // Whoever is still cut off does not stand when the other goes, and does once it has the bus again.
    two.stop().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!leads(&one).await);
    cut_off.down.store(false, Ordering::SeqCst);
    cut_off.cut_off.store(false, Ordering::SeqCst);
    eventually("the first leads again", async || leads(&one).await).await;
    create(&one, 1..5).await;
    cut_off.has_heard(4).await;
    is_log(&cut_off.heard(), 13, 16);
}

on_both_footings!(
    publishes_the_log_in_order,
    goes_on_where_it_stopped_with_the_same_chain,
    starts_from_the_beginning_of_a_short_log_without_progress,
    goes_on_at_the_end_of_a_long_log_without_progress,
    what_was_dropped_is_left_to_the_log,
    goes_back_with_a_log_that_was_cut,
    keeps_the_order_while_the_bus_is_down,
    a_stop_does_not_wait_for_the_bus,
    one_of_two_is_active_and_the_other_takes_over,
    a_relay_that_is_cut_off_from_the_bus_leaves_it_to_another,
);

#[tokio::test(flavor = "multi_thread")]
async fn postgres_a_relay_whose_lock_is_lost_steps_down_and_another_takes_over() {
    let mut stage = Stage::new(Footing::Postgres).await;
    let recorder = Recorder::on(&mut stage);
    let one = App::start(&stage).await;
    eventually("the first is in office", async || {
        one.metric("taskledger_relay_active").await == 1.0
    })
    .await;
    let two = App::start(&stage).await;
    create(&two, 1..13).await;
    recorder.has_heard(12).await;
    // The connection that holds the lock dies.
    one.operations
        .fetch_all(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 \
             AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            &[],
        )
        .await
        .unwrap();
    eventually("someone is in office again", async || {
        let (one, two) = (
            one.metric("taskledger_relay_active").await,
            two.metric("taskledger_relay_active").await,
        );
        let holders = holders_of_the_lock(&stage).await;
        one + two == 1.0 && holders == 1
    })
    .await;
    create(&two, 1..13).await;
    eventually("the whole log is published", async || {
        let positions: BTreeSet<u64> = recorder
            .heard()
            .iter()
            .map(|message| message.event.position)
            .collect();
        positions == (1..=24).collect()
    })
    .await;
}

async fn holders_of_the_lock(stage: &Stage) -> u64 {
    let operations = stage.operations().await;
    let rows = operations
        .fetch_all(
            "SELECT count(*) AS n FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted \
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
             AND classid::bigint << 32 | objid::bigint = 23727814277349721",
            &[],
        )
        .await
        .unwrap();
    let holders = rows[0].unsigned("n").unwrap();
    operations.close().await;
    holders
}
