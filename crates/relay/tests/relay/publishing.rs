//! Everything in the log reaches the bus, in order and chained.

use std::{collections::BTreeSet, sync::atomic::Ordering, time::Duration};

use bus::EventMessage;
use event_store::EventStore;
use events::{EventId, RecordedEvent, StreamName};
use test_support::{Footing, eventually, on_both_footings, read_all};
use uuid::Uuid;

use super::support::{Fixture, an_event_about, partitions, user};

/// Asserts that `messages` are the log from `first` to `last`, once each, in order and chained in each partition.
#[track_caller]
pub(crate) fn is_log(messages: &[EventMessage], first: u64, last: u64) {
    let mut positions: Vec<u64> = messages.iter().map(|message| message.event.position).collect();
    // Partitions do not wait for each other.
    positions.sort_unstable();
    assert_eq!(positions, (first..=last).collect::<Vec<_>>());
    let partitions = partitions();
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

/// The messages without the repeats that a takeover may cause. A message that is not quite the same stays.
pub(crate) fn without_repeats(messages: Vec<EventMessage>) -> Vec<EventMessage> {
    let mut once = Vec::new();
    for message in messages {
        if !once.contains(&message) {
            once.push(message);
        }
    }
    once
}

async fn publishes_the_log_in_order(footing: Footing) {
    let fixture = Fixture::new(footing).await;
    let replica = fixture.start().await;
    replica.append_about(1..25).await;
    fixture.has_published(24).await;
    is_log(&fixture.bus.published(), 1, 24);
    let used: BTreeSet<u16> = fixture.bus.published().iter().map(|message| message.partition).collect();
    assert_eq!(used.len(), 4);
    assert_eq!(replica.metric("taskledger_relay_position"), 24.0);
    assert_eq!(replica.metric("taskledger_relay_published_total"), 24.0);
    eventually("no lag", async || replica.metric("taskledger_relay_lag_events") == 0.0).await;
}

async fn goes_on_where_it_stopped_with_the_same_chain(footing: Footing) {
    let fixture = Fixture::new(footing).await;
    let replica = fixture.start().await;
    replica.append_about(1..13).await;
    fixture.has_published(12).await;
    replica.stop().await;
    let replica = fixture.start().await;
    replica.append_about(1..13).await;
    fixture.has_published(24).await;
    is_log(&fixture.bus.published(), 1, 24);
}

async fn starts_from_the_beginning_of_a_short_log_without_progress(footing: Footing) {
    let fixture = Fixture::new(footing).await;
    let replica = fixture.start().await;
    replica.append_about(1..9).await;
    fixture.has_published(8).await;
    replica.has_saved(8).await;
    replica.operations.execute("DELETE FROM relay_progress", &[]).await.unwrap();
    replica.stop().await;
    fixture.bus.forget_published();
    let _replica = fixture.start().await;
    fixture.has_published(8).await;
    is_log(&fixture.bus.published(), 1, 8);
}

async fn goes_on_at_the_end_of_a_long_log_without_progress(footing: Footing) {
    let fixture = Fixture::new(footing).await;
    let store = fixture.storage.event_store().await;
    fill(&*store, 600).await;
    let replica = fixture.start().await;
    eventually("it is at the end", async || replica.metric("taskledger_relay_position") == 600.0).await;
    replica.append_about(1..9).await;
    fixture.has_published(8).await;
    let heard = fixture.bus.published();
    is_log(&heard, 601, 608);
    let mut begun = BTreeSet::new();
    for message in heard.iter().filter(|message| begun.insert(message.partition)) {
        assert_eq!(message.previous, 600, "whoever is behind reads the store");
    }
}

/// Events whose payloads were dropped are no messages. Whoever lacks them finds out by the next one, and reads the log.
async fn what_was_dropped_is_left_to_the_log(footing: Footing) {
    let fixture = Fixture::new(footing).await;
    let store = fixture.storage.event_store().await;
    let stream = StreamName::raw(format!("task-{}", Uuid::new_v4()));
    let events = (0..3).map(|_| an_event_about(user(1))).collect();
    store.append(&stream, 0, events).await.unwrap();
    let second = store.stored_page(1, 1).await.unwrap().events.remove(0);
    store.drop_payloads(&[second.digest()]).await.unwrap();
    let replica = fixture.start().await;
    fixture.has_published(2).await;
    let heard = fixture.bus.published();
    let places: Vec<_> = heard.iter().map(|message| (message.event.position, message.previous)).collect();
    assert_eq!(places, [(1, 0), (3, 2)]);
    assert_eq!(replica.metric("taskledger_relay_passed_over_total"), 0.0);
}

/// Nothing of it is published, and nothing is left to publish.
async fn a_page_without_messages_is_progress(footing: Footing) {
    let fixture = Fixture::new(footing).await;
    let store = fixture.storage.event_store().await;
    fill(&*store, 3).await;
    fixture.storage.damage_log("UPDATE events SET encoding = 'cbor'").await;
    let replica = fixture.start().await;
    replica.has_saved(3).await;
    assert_eq!(replica.metric("taskledger_relay_position"), 3.0);
    assert_eq!(replica.metric("taskledger_relay_passed_over_total"), 3.0);
    eventually("no lag", async || replica.metric("taskledger_relay_lag_events") == 0.0).await;
}

/// The log loses its end, as after a restore or a failover, and goes on with other events.
async fn goes_back_with_a_log_that_was_cut(footing: Footing) {
    let fixture = Fixture::new(footing).await;
    let replica = fixture.start().await;
    replica.append_about(1..13).await;
    fixture.has_published(12).await;
    fixture.storage.cut_log(6).await;
    fixture.bus.forget_published();
    // While it runs; as many as were lost and more, so that no position is missing.
    let store = fixture.storage.event_store().await;
    fill(&*store, 10).await;
    let whole = read_all(&*store, 0, 100).await;
    let is_published = async || {
        let heard = fixture.bus.published();
        let real = |event: &&RecordedEvent| heard.iter().any(|message| message.event == **event);
        whole.iter().skip(6).filter(real).count() == 10
    };
    eventually("what is in the log now is published", is_published).await;
    assert!(replica.metric("taskledger_relay_log_mismatch_total") >= 1.0);
    let saved = async || {
        let rows = replica.operations.fetch_all("SELECT event_id FROM relay_progress", &[]).await.unwrap();
        let last = whole.last().map(|event| event.id.0);
        rows.iter().all(|row| row.optional_uuid("event_id").unwrap() == last)
    };
    eventually("progress goes back", saved).await;

    // And at start.
    replica.stop().await;
    fixture.storage.cut_log(8).await;
    fill(&*store, 20).await;
    fixture.bus.forget_published();
    let _replica = fixture.start().await;
    fixture.has_published(28).await;
    is_log(&fixture.bus.published(), 1, 28);
}

/// A record that cannot be published has an id, too, which tells one history of the log from another.
async fn goes_back_from_a_record_that_cannot_be_read(footing: Footing) {
    let fixture = Fixture::new(footing).await;
    let store = fixture.storage.event_store().await;
    fill(&*store, 3).await;
    let damage = "UPDATE events SET encoding = 'cbor' WHERE position = 3";
    fixture.storage.damage_log(damage).await;
    let replica = fixture.start().await;
    replica.has_saved(3).await;
    let rows = replica.operations.fetch_all("SELECT event_id FROM relay_progress", &[]).await.unwrap();
    let last = store.identify(&[3]).await.unwrap()[0];
    assert!(last.is_some());
    for row in &rows {
        assert_eq!(row.optional_uuid("event_id").unwrap().map(EventId), last);
    }
    fixture.storage.cut_log(2).await;
    fill(&*store, 1).await;
    eventually("the loss is noticed", async || replica.metric("taskledger_relay_log_mismatch_total") >= 1.0)
        .await;
    eventually("the event that took the position is published", async || {
        fixture.bus.published_positions() == [1, 2, 3]
    })
    .await;
}

/// Appends this many events to a stream of its own.
pub(crate) async fn fill(store: &dyn EventStore, count: u128) {
    let events = (0..count).map(|number| an_event_about(user(number % 20 + 1)));
    let stream = StreamName::raw(format!("task-{}", Uuid::new_v4()));
    store.append(&stream, 0, events.collect()).await.unwrap();
}

async fn keeps_the_order_while_the_bus_is_down(footing: Footing) {
    let fixture = Fixture::new(footing).await;
    let replica = fixture.start().await;
    eventually("it leads", async || replica.leads()).await;
    fixture.bus.down.store(true, Ordering::SeqCst);
    replica.append_about(1..13).await;
    eventually("publishing failed", async || {
        replica.metric("taskledger_relay_publish_failures_total") >= 2.0
    })
    .await;
    fixture.bus.down.store(false, Ordering::SeqCst);
    replica.append_about(1..5).await;
    fixture.has_published(16).await;
    is_log(&fixture.bus.published(), 1, 16);
}

async fn a_stop_does_not_wait_for_the_bus(footing: Footing) {
    let fixture = Fixture::new(footing).await;
    let replica = fixture.start().await;
    replica.append_about(1..5).await;
    fixture.has_published(4).await;
    fixture.bus.down.store(true, Ordering::SeqCst);
    replica.append_about(1..5).await;
    tokio::time::timeout(Duration::from_secs(5), replica.stop()).await.expect("the relay does not stop");
    fixture.bus.down.store(false, Ordering::SeqCst);
    let _replica = fixture.start().await;
    fixture.has_published(8).await;
    is_log(&fixture.bus.published(), 1, 8);
}

on_both_footings!(
    publishes_the_log_in_order,
    goes_on_where_it_stopped_with_the_same_chain,
    starts_from_the_beginning_of_a_short_log_without_progress,
    goes_on_at_the_end_of_a_long_log_without_progress,
    what_was_dropped_is_left_to_the_log,
    a_page_without_messages_is_progress,
    goes_back_with_a_log_that_was_cut,
    goes_back_from_a_record_that_cannot_be_read,
    keeps_the_order_while_the_bus_is_down,
    a_stop_does_not_wait_for_the_bus,
);
