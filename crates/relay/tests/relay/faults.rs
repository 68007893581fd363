//! A bus that does not take everything: what one message or one partition meets is no other's business.

use std::{sync::atomic::Ordering, time::Duration};

use event_store::EventStore;
use events::{
    AccountRegistered, Event, EventId, NewEvent, PasswordChanged, SecretHash, SessionId, SessionRefreshed,
    SessionStarted, StreamName, TaskId, Timestamp, UserId,
};
use test_support::{Footing, eventually, metadata_about, on_both_footings};
use uuid::Uuid;

use super::{
    publishing::is_log,
    support::{Fixture, an_event_about, partitions, user},
};

fn record(subject: UserId, event: impl Into<Event>) -> NewEvent {
    event.into().encode().into_event(
        EventId(Uuid::now_v7()),
        metadata_about(subject),
        Timestamp::from_micros(0),
    )
}

async fn append_many(store: &dyn EventStore, events: usize) {
    let subject = user(1);
    let changed = || events::AccountRenamed { display_name: None };
    for _ in 0..events.div_ceil(1_000) {
        let batch = (0..1_000).map(|_| record(subject, Event::Account(changed().into()))).collect();
        let stream = StreamName::task(TaskId(Uuid::now_v7()));
        store.append(&stream, 0, batch).await.unwrap();
    }
}

async fn no_secret_leaves_the_log(footing: Footing) {
    let fixture = Fixture::new(footing).await;
    let replica = fixture.start().await;
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
        Event::Account(PasswordChanged { password_hash: hash(), surviving_session: None }.into()),
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
        Event::Session(SessionRefreshed { refresh_hash: "5ec7e7".into(), client: None, used: None }.into()),
    ];
    let streams = [
        (StreamName::account(id), account.to_vec()),
        (StreamName::session(session), session_events.to_vec()),
    ];
    for (stream, events) in streams {
        let events = events.into_iter().map(|event| record(id, event)).collect();
        replica.store.append(&stream, 0, events).await.unwrap();
    }
    eventually("everything is published", async || fixture.bus.published_positions() == [1, 2, 3, 4]).await;
    for message in &fixture.bus.published() {
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
    let fixture = Fixture::new(footing).await;
    fixture.bus.refused_position.store(700, Ordering::SeqCst);
    let replica = fixture.start().await;
    append_many(&*replica.store, 2_000).await;
    let others: Vec<u64> = (1..=2_000).filter(|position| *position != 700).collect();
    eventually("the others are published", async || fixture.bus.published_positions() == others).await;
    eventually("it is counted, and progress made", async || {
        replica.metric("taskledger_relay_passed_over_total") == 1.0
            && replica.metric("taskledger_relay_position") == 2_000.0
    })
    .await;
    // Whoever gets the next one can tell that it is missing.
    let heard = fixture.bus.published();
    let next = heard.iter().find(|message| message.event.position == 701).unwrap();
    assert_eq!(next.previous, 700);
}

async fn a_partition_that_stands_still_holds_up_no_other(footing: Footing) {
    let fixture = Fixture::new(footing).await;
    let partitions = partitions();
    let stuck = partitions.of(user(1));
    *fixture.bus.stuck_partition.lock().unwrap() = Some(stuck);
    let replica = fixture.start().await;
    let other = (2..).find(|n| partitions.of(user(*n)) != stuck).unwrap();
    replica.append_about(other..other + 20).await;
    // More of them than may wait.
    append_many(&*replica.store, 12_000).await;
    replica.append_about(other..other + 20).await;
    let others = 2 * (other..other + 20).filter(|n| partitions.of(user(*n)) != stuck).count();
    eventually("the other partitions are published", async || {
        fixture.bus.published_positions().len() == others
    })
    .await;
    assert!(replica.metric("taskledger_relay_skipped_total") >= 1.0);
    tokio::time::timeout(Duration::from_secs(5), replica.stop()).await.expect("the relay does not stop");
}

/// A page of the log has more of one partition than may wait, and the bus takes it as fast as it comes.
async fn a_page_that_is_larger_than_a_queue_is_published_whole(footing: Footing) {
    let fixture = Fixture::new(footing).await;
    let replica = fixture.start().await;
    eventually("it leads", async || replica.leads()).await;
    let large = || NewEvent {
        data: format!(r#"{{"title":"{}"}}"#, "x".repeat(54_000)).into(),
        ..an_event_about(user(1))
    };
    let batch = std::iter::repeat_with(large).take(60).collect();
    let stream = StreamName::task(TaskId(Uuid::now_v7()));
    replica.store.append(&stream, 0, batch).await.unwrap();
    fixture.has_published(60).await;
    is_log(&fixture.bus.published(), 1, 60);
    assert_eq!(replica.metric("taskledger_relay_skipped_total"), 0.0);
}

async fn a_relay_that_is_far_behind_goes_on_at_the_end(footing: Footing) {
    let fixture = Fixture::new(footing).await;
    let replica = fixture.start().await;
    replica.append_about(1..2).await;
    eventually("the first is published", async || fixture.bus.published_positions() == [1]).await;
    replica.has_saved(1).await;
    // Much is appended while nobody publishes.
    replica.stop().await;
    append_many(&*fixture.storage.event_store().await, 40_000).await;
    let replica = fixture.start().await;
    eventually("it gives up on what it missed", async || {
        replica.metric("taskledger_relay_skipped_total") > 20_000.0
    })
    .await;
    replica.append_about(1..9).await;
    eventually("new ones are published", async || {
        fixture.bus.published_positions().into_iter().any(|position| position > 40_001)
    })
    .await;
    let heard = fixture.bus.published();
    let new = heard.iter().find(|message| message.event.position > 40_001).unwrap();
    assert!(new.previous > 20_000, "{}", new.previous);
}

on_both_footings!(
    no_secret_leaves_the_log,
    a_message_that_the_bus_never_takes_is_passed_over_alone,
    a_partition_that_stands_still_holds_up_no_other,
    a_page_that_is_larger_than_a_queue_is_published_whole,
    a_relay_that_is_far_behind_goes_on_at_the_end,
);
