//! The promises of every bus. `conformance!` turns them into tests of one implementation.

pub(crate) mod broadcasts;
pub(crate) mod events;
pub(crate) mod requests;

use std::{sync::Arc, time::Duration};

use ::events::{
    Actor, Encoding, EventId, Metadata, PartitionCount, RecordedEvent, StreamName, TaskId, Timestamp, UserId,
};
use async_trait::async_trait;
use bus::{Bus, EventConsumer, EventMessage};
use bytes::Bytes;
use uuid::Uuid;

/// A broker for one test.
#[async_trait]
pub(crate) trait TestBroker: Send + Sync {
    /// A bus on it, as another process would have.
    async fn bus(&self) -> Arc<dyn Bus>;

    /// Bytes of messages that a partition's queue keeps at most.
    fn bytes_kept(&self) -> usize;
}

/// Far longer than anything here takes; a test that waits longer has failed.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// Waits for `future`, for at most [`TIMEOUT`].
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(TIMEOUT, future).await.unwrap_or_else(|_| panic!("waited {TIMEOUT:?} for {what}"))
}

pub(crate) fn four() -> PartitionCount {
    PartitionCount::new(4).unwrap()
}

/// The event at `position` of partition `partition` of four.
pub(crate) fn message(partition: u16, position: u64, data: impl Into<Bytes>) -> EventMessage {
    let subject = UserId(Uuid::now_v7());
    EventMessage {
        event: RecordedEvent {
            position,
            stream: StreamName::task(TaskId(Uuid::now_v7())),
            version: position + 7,
            id: EventId(Uuid::now_v7()),
            kind: "task.created".into(),
            schema_version: 3,
            encoding: Encoding::Json,
            data: data.into(),
            metadata: Metadata {
                subject,
                actor: Actor::User(subject),
                correlation_id: "Anfrage-Ünïcödé-请求-🧾".into(),
                causation_id: Uuid::now_v7(),
                traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
                idempotency_key: None,
            },
            recorded_at: Timestamp::from_micros(1_790_000_000_123_456),
        },
        partitions: four(),
        partition,
        previous: position - 1,
    }
}

/// Messages of one partition with the given positions.
pub(crate) fn messages(partition: u16, positions: std::ops::RangeInclusive<u64>) -> Vec<EventMessage> {
    positions.map(|position| message(partition, position, format!(r#"{{"n":{position}}}"#))).collect()
}

/// Reads until `count` messages have come, without acknowledging.
pub(crate) async fn read(consumer: &mut dyn EventConsumer, count: usize) -> Vec<EventMessage> {
    let mut all = Vec::new();
    while all.len() < count {
        all.extend(soon("messages", consumer.next(count - all.len())).await);
    }
    all
}

pub(crate) fn positions(messages: &[EventMessage]) -> Vec<u64> {
    messages.iter().map(|message| message.event.position).collect()
}

/// Makes every promise a test with the broker that `$with` sets up: `$with(async |broker| …)`.
#[macro_export]
macro_rules! conformance {
    ($with:path: $($part:ident { $($name:ident),* $(,)? })*) => { $(
        mod $part {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    $with(async |broker: &dyn $crate::conformance::TestBroker| {
                        $crate::conformance::$part::$name(broker).await;
                    })
                    .await;
                }
            )*
        }
    )* };
    ($with:path) => {
        $crate::conformance!($with:
            events {
                messages_arrive_in_order_and_byte_for_byte,
                a_large_publication_keeps_its_order,
                publishing_to_a_partition_that_nobody_consumed_is_fine,
                what_is_published_between_consumers_waits_for_the_next,
                partitions_are_independent,
                another_partition_count_is_another_set_of_queues,
                what_was_not_acknowledged_comes_again,
                of_many_published_together_each_comes_until_it_is_acknowledged,
                what_was_acknowledged_does_not_come_again,
                one_consumer_is_active_and_the_next_takes_over,
                next_returns_no_more_than_asked_for,
                cancelling_next_loses_nothing,
                too_many_unacknowledged_messages_hold_up_the_rest,
                a_consumer_that_acknowledges_nothing_holds_few_bytes,
                fat_messages_beyond_a_bound_are_dropped_and_leave_a_gap,
            }
            requests {
                a_reply_comes_back_byte_for_byte,
                each_of_64_requesters_gets_its_own_reply,
                a_late_reply_reaches_nobody,
                an_expired_request_is_not_served,
                without_a_responder_a_request_fails_at_once,
                a_full_queue_sheds_load,
                no_more_requests_run_at_once_than_allowed,
                several_responders_share_a_queue,
                stopping_finishes_what_has_begun,
                a_stopped_responder_leaves_the_rest_to_another,
                a_panicking_responder_costs_one_request,
                a_hanging_responder_gives_its_slot_back_at_the_deadline,
            }
            broadcasts {
                everyone_who_listens_hears_everything_in_order,
                topics_are_independent,
                what_was_said_before_listening_is_not_heard,
            }
        );
    };
}
