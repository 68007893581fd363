//! The relay over a bus that does not take everything: what one message or one partition meets is no other's business.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bus::{Bus, BusError, EventConsumer, EventMessage, Listener, Responder, ResponderOptions};
use bytes::Bytes;
use event_store::EventStore;
use events::{
    AccountRegistered, Actor, Event, EventId, Metadata, NewEvent, PartitionCount, PasswordChanged,
    SecretHash, SessionId, SessionRefreshed, SessionStarted, StreamName, TaskId, Timestamp, UserId,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    contention::on_both_footings,
    support::{App, Footing, Stage, eventually, user},
};

/// The stage's bus, which takes neither the message of one position nor those of one partition.
struct Picky {
    inner: Arc<dyn Bus>,
    heard: Mutex<Vec<EventMessage>>,
    /// No publication with this event is taken.
    poison: AtomicU64,
    /// Publications of this partition never come back.
    stuck: AtomicU64,
}

const NONE: u64 = u64::MAX;

impl Picky {
    fn on(stage: &mut Stage) -> Arc<Self> {
        let picky = Arc::new(Self {
            inner: Arc::clone(&stage.bus),
            heard: Mutex::default(),
            poison: AtomicU64::new(NONE),
            stuck: AtomicU64::new(NONE),
        });
        stage.bus = Arc::clone(&picky) as _;
        picky
    }

    fn positions(&self) -> Vec<u64> {
        let heard = self.heard.lock().unwrap();
        let mut positions: Vec<u64> = heard.iter().map(|message| message.event.position).collect();
        positions.sort_unstable();
        positions.dedup();
        positions
    }
}

#[async_trait]
impl Bus for Picky {
    async fn publish(&self, messages: &[EventMessage]) -> Result<(), BusError> {
        let stuck = self.stuck.load(Ordering::SeqCst);
        if messages
            .iter()
            .any(|message| u64::from(message.partition) == stuck)
        {
            std::future::pending::<()>().await;
        }
        let poison = self.poison.load(Ordering::SeqCst);
        if messages.iter().any(|message| message.event.position == poison) {
            return Err(BusError::unavailable("the channel was closed"));
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
        true
    }
}

fn record(subject: UserId, event: impl Into<Event>) -> NewEvent {
    event.into().encode().into_event(
        EventId(Uuid::now_v7()),
        Metadata {
            subject,
            actor: Actor::System,
            correlation_id: String::new().into(),
            causation_id: Uuid::nil(),
            traceparent: None,
            idempotency_key: None,
        },
        Timestamp::from_micros(0),
    )
}

async fn append_many(store: &dyn EventStore, events: usize) {
    let subject = user(1);
    let changed = || events::AccountRenamed { display_name: None };
    for _ in 0..events.div_ceil(1_000) {
        let batch = (0..1_000)
            .map(|_| record(subject, Event::Account(changed().into())))
            .collect();
        let stream = StreamName::task(TaskId(Uuid::now_v7()));
        store.append(&stream, 0, batch).await.unwrap();
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

async fn no_secret_leaves_the_log(footing: Footing) {
    let mut stage = Stage::new(footing).await;
    let bus = Picky::on(&mut stage);
    let app = App::start(&stage).await;
    let (id, session) = (user(1), SessionId(Uuid::now_v7()));
    let hash = || SecretHash::from("$argon2id$v=19$secret");
    let account = [
        Event::Account(
            AccountRegistered {
                email: "p@example.org".to_owned(),
                display_name: None,
                password_hash: hash(),
            }
            .into(),
        ),
        Event::Account(
            PasswordChanged {
                password_hash: hash(),
                surviving_session: None,
            }
            .into(),
        ),
    ];
    let session_events = [
        Event::Session(
            SessionStarted {
                account: id,
                refresh_hash: "5ec7e7".into(),
                expires_at: Timestamp::from_micros(1),
                ip: None,
                user_agent: None,
                methods: [events::AuthenticationMethod::Pwd].into(),
                idle_seconds: None,
            }
            .into(),
        ),
        Event::Session(
            SessionRefreshed {
                refresh_hash: "5ec7e7".into(),
                client: None,
                used: None,
            }
            .into(),
        ),
    ];
    let streams = [
        (StreamName::account(id), account.to_vec()),
        (StreamName::session(session), session_events.to_vec()),
    ];
    for (stream, events) in streams {
        let events = events.into_iter().map(|event| record(id, event)).collect();
        app.store.append(&stream, 0, events).await.unwrap();
    }
    eventually("everything is published", async || {
        bus.positions() == [1, 2, 3, 4]
    })
    .await;
    for message in bus.heard.lock().unwrap().iter() {
        let text = format!("{message:?}");
        let body = String::from_utf8_lossy(&message.event.data).into_owned();
        for secret in ["argon2", "5ec7e7", "password_hash", "refresh_hash"] {
            assert!(!body.contains(secret) && !text.contains(secret), "{body}");
        }
        // What is left can still be read.
        Event::try_from(&message.event).unwrap();
    }
}

async fn a_message_that_the_bus_never_takes_is_passed_over_alone(footing: Footing) {
    let mut stage = Stage::new(footing).await;
    let bus = Picky::on(&mut stage);
    bus.poison.store(700, Ordering::SeqCst);
    let app = App::start(&stage).await;
    append_many(&*app.store, 2_000).await;
    let others: Vec<u64> = (1..=2_000).filter(|position| *position != 700).collect();
    eventually("the others are published", async || bus.positions() == others).await;
    eventually("it is counted, and progress made", async || {
        app.metric("taskledger_relay_passed_over_total").await == 1.0
            && app.metric("taskledger_relay_position").await == 2_000.0
    })
    .await;
    // Whoever gets the next one can tell that it is missing.
    let heard = bus.heard.lock().unwrap();
    let next = heard
        .iter()
        .find(|message| message.event.position == 701)
        .unwrap();
    assert_eq!(next.previous, 700);
}

async fn a_partition_that_stands_still_holds_up_no_other(footing: Footing) {
    let mut stage = Stage::new(footing).await;
    let bus = Picky::on(&mut stage);
    let partitions = PartitionCount::new(4).unwrap();
    let stuck = partitions.of(user(1));
    bus.stuck.store(stuck.into(), Ordering::SeqCst);
    let app = App::start(&stage).await;
    let other = (2..).find(|n| partitions.of(user(*n)) != stuck).unwrap();
    create(&app, other..other + 20).await;
    // More of them than may wait.
    append_many(&*app.store, 12_000).await;
    create(&app, other..other + 20).await;
    let others = 2
        * (other..other + 20)
            .filter(|n| partitions.of(user(*n)) != stuck)
            .count();
    eventually("the other partitions are published", async || {
        bus.positions().len() == others
    })
    .await;
    assert!(app.metric("taskledger_relay_skipped_total").await >= 1.0);
    tokio::time::timeout(Duration::from_secs(5), app.stop())
        .await
        .expect("the role does not stop");
}

async fn a_relay_that_is_far_behind_goes_on_at_the_end(footing: Footing) {
    let mut stage = Stage::new(footing).await;
    let bus = Picky::on(&mut stage);
    let app = App::start(&stage).await;
    create(&app, 1..2).await;
    eventually("the first is published", async || bus.positions() == [1]).await;
    eventually("progress is saved", async || {
        let rows = app
            .operations
            .fetch_all("SELECT read_up_to FROM relay_progress", &[])
            .await
            .unwrap();
        rows.len() == 4 && rows.iter().all(|row| row.integer("read_up_to").unwrap() == 1)
    })
    .await;
    // Much is appended while nobody publishes.
    app.stop().await;
    append_many(&*stage.store().await, 40_000).await;
    let app = App::start(&stage).await;
    eventually("it gives up on what it missed", async || {
        app.metric("taskledger_relay_skipped_total").await > 20_000.0
    })
    .await;
    create(&app, 1..9).await;
    eventually("new ones are published", async || {
        bus.positions().into_iter().any(|position| position > 40_001)
    })
    .await;
    let heard = bus.heard.lock().unwrap();
    let new = heard
        .iter()
        .find(|message| message.event.position > 40_001)
        .unwrap();
    assert!(new.previous > 20_000, "{}", new.previous);
}

on_both_footings!(
    no_secret_leaves_the_log,
    a_message_that_the_bus_never_takes_is_passed_over_alone,
    a_partition_that_stands_still_holds_up_no_other,
    a_relay_that_is_far_behind_goes_on_at_the_end,
);
