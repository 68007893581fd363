//! Publishing and consuming events.

use std::time::Duration;

use ::events::PartitionCount;
use bus::EventMessage;
use bytes::Bytes;

use super::{TestBroker, four, message, messages, positions, read, soon};

pub(crate) async fn messages_arrive_in_order_and_byte_for_byte(broker: &dyn TestBroker) {
    let (publisher, reader) = (broker.bus().await, broker.bus().await);
    let mut consumer = reader.consume(four(), 2).await.unwrap();
    let mut sent = vec![
        message(2, 1, r#"{"title":"Grüße, 世界 🎉 \u0000","tags":["né","ﬁ","é"]}"#),
        message(2, 2, "{ \"spaces\" :   \"stay\\n\" }\r\n"),
        message(2, 3, Bytes::from_static(&[0, 255, 1, 254, 13, 10, 0])),
        message(2, 4, ""),
        message(2, 5, "x".repeat(400_000)),
    ];
    sent[1].event.metadata.traceparent = None;
    sent[1].event.metadata.idempotency_key = Some("schlüssel".into());
    sent[3].event.version = u64::from(u32::MAX) + 1;
    sent[3].event.position = i64::MAX as u64;
    publisher.publish(&sent).await.unwrap();
    assert_eq!(read(&mut *consumer, sent.len()).await, sent);
}

pub(crate) async fn a_large_publication_keeps_its_order(broker: &dyn TestBroker) {
    let bus = broker.bus().await;
    let mut consumer = bus.consume(four(), 0).await.unwrap();
    let sent = messages(0, 1..=2_500);
    let publishing = tokio::spawn({
        let (bus, sent) = (bus.clone(), sent.clone());
        async move { bus.publish(&sent).await }
    });
    let mut got = Vec::new();
    while got.len() < sent.len() {
        got.extend(read(&mut *consumer, 50).await);
        consumer.acknowledge().await;
    }
    publishing.await.unwrap().unwrap();
    assert_eq!(got, sent);
}

pub(crate) async fn publishing_to_a_partition_that_nobody_consumed_is_fine(broker: &dyn TestBroker) {
    let bus = broker.bus().await;
    bus.publish(&messages(3, 1..=3)).await.unwrap();
    bus.publish(&[]).await.unwrap();
    let mut consumer = bus.consume(four(), 3).await.unwrap();
    bus.publish(&messages(3, 4..=4)).await.unwrap();
    assert_eq!(positions(&read(&mut *consumer, 1).await), [4]);
}

pub(crate) async fn what_is_published_between_consumers_waits_for_the_next(broker: &dyn TestBroker) {
    let bus = broker.bus().await;
    drop(bus.consume(four(), 1).await.unwrap());
    bus.publish(&messages(1, 1..=3)).await.unwrap();
    let mut consumer = bus.consume(four(), 1).await.unwrap();
    assert_eq!(positions(&read(&mut *consumer, 3).await), [1, 2, 3]);
}

pub(crate) async fn partitions_are_independent(broker: &dyn TestBroker) {
    let bus = broker.bus().await;
    let mut zero = bus.consume(four(), 0).await.unwrap();
    let mut one = bus.consume(four(), 1).await.unwrap();
    let mixed = [message(0, 1, "a"), message(1, 2, "b"), message(0, 3, "c"), message(1, 4, "d")];
    bus.publish(&mixed).await.unwrap();
    // One of them reads nothing at first. That must not delay the other.
    assert_eq!(positions(&read(&mut *one, 2).await), [2, 4]);
    one.acknowledge().await;
    assert_eq!(positions(&read(&mut *zero, 2).await), [1, 3]);
}

pub(crate) async fn another_partition_count_is_another_set_of_queues(broker: &dyn TestBroker) {
    let bus = broker.bus().await;
    let two = PartitionCount::new(2).unwrap();
    let mut of_two = bus.consume(two, 1).await.unwrap();
    let mut of_four = bus.consume(four(), 1).await.unwrap();
    let mut other = message(1, 2, "of two");
    other.partitions = two;
    bus.publish(&[message(1, 1, "of four"), other.clone(), message(1, 3, "of four")]).await.unwrap();
    assert_eq!(read(&mut *of_two, 1).await, [other]);
    assert_eq!(positions(&read(&mut *of_four, 2).await), [1, 3]);
}

pub(crate) async fn what_was_not_acknowledged_comes_again(broker: &dyn TestBroker) {
    let bus = broker.bus().await;
    let mut first = bus.consume(four(), 0).await.unwrap();
    bus.publish(&messages(0, 1..=10)).await.unwrap();
    assert_eq!(positions(&read(&mut *first, 4).await), [1, 2, 3, 4]);
    first.acknowledge().await;
    assert_eq!(positions(&read(&mut *first, 3).await), [5, 6, 7]);
    drop(first);
    let mut second = bus.consume(four(), 0).await.unwrap();
    assert_eq!(positions(&read(&mut *second, 6).await), [5, 6, 7, 8, 9, 10]);
}

pub(crate) async fn of_many_published_together_each_comes_until_it_is_acknowledged(broker: &dyn TestBroker) {
    let bus = broker.bus().await;
    let mut first = bus.consume(four(), 0).await.unwrap();
    let mut sent = messages(0, 1..=60);
    // These cannot be in one message with others.
    sent[20] = message(0, 21, "no JSON");
    sent[21] = message(0, 22, " 1 ");
    sent[40] = message(0, 41, format!("\"{}\"", "x".repeat(100_000)));
    bus.publish(&sent).await.unwrap();
    assert_eq!(read(&mut *first, 33).await, sent[..33]);
    first.acknowledge().await;
    assert_eq!(read(&mut *first, 27).await, sent[33..]);
    drop(first);
    // Whoever has read a part of a message cannot acknowledge it, so that its first events may come again.
    let mut second = bus.consume(four(), 0).await.unwrap();
    let mut again = read(&mut *second, 27).await;
    while again.last().unwrap().event.position < 60 {
        again.extend(read(&mut *second, 1).await);
    }
    let expected: Vec<_> = (again[0].event.position..=60).collect();
    assert_eq!(positions(&again), expected);
    assert!((23..=34).contains(&expected[0]), "{}", expected[0]);
    second.acknowledge().await;
    drop(second);
    let mut third = bus.consume(four(), 0).await.unwrap();
    bus.publish(&messages(0, 61..=61)).await.unwrap();
    assert_eq!(positions(&read(&mut *third, 1).await), [61]);
}

pub(crate) async fn what_was_acknowledged_does_not_come_again(broker: &dyn TestBroker) {
    let bus = broker.bus().await;
    let mut first = bus.consume(four(), 0).await.unwrap();
    bus.publish(&messages(0, 1..=10)).await.unwrap();
    read(&mut *first, 10).await;
    first.acknowledge().await;
    // Acknowledging twice, or without a new message, does no harm.
    first.acknowledge().await;
    drop(first);
    let mut second = bus.consume(four(), 0).await.unwrap();
    bus.publish(&messages(0, 11..=11)).await.unwrap();
    assert_eq!(positions(&read(&mut *second, 1).await), [11]);
}

pub(crate) async fn one_consumer_is_active_and_the_next_takes_over(broker: &dyn TestBroker) {
    let (one, other) = (broker.bus().await, broker.bus().await);
    let mut active = one.consume(four(), 0).await.unwrap();
    let mut standby = other.consume(four(), 0).await.unwrap();
    let taking_over = tokio::spawn(async move {
        let messages = read(&mut *standby, 7).await;
        standby.acknowledge().await;
        (messages, standby)
    });
    one.publish(&messages(0, 1..=10)).await.unwrap();
    assert_eq!(positions(&read(&mut *active, 3).await), [1, 2, 3]);
    active.acknowledge().await;
    // All messages went to the active consumer.
    assert_eq!(positions(&read(&mut *active, 7).await), [4, 5, 6, 7, 8, 9, 10]);
    assert!(!taking_over.is_finished());
    drop(active);
    let (taken, mut standby) = soon("the take-over", taking_over).await.unwrap();
    assert_eq!(positions(&taken), [4, 5, 6, 7, 8, 9, 10]);
    one.publish(&messages(0, 11..=11)).await.unwrap();
    assert_eq!(positions(&read(&mut *standby, 1).await), [11]);
}

pub(crate) async fn next_returns_no_more_than_asked_for(broker: &dyn TestBroker) {
    let bus = broker.bus().await;
    let mut consumer = bus.consume(four(), 0).await.unwrap();
    bus.publish(&messages(0, 1..=9)).await.unwrap();
    let mut got = Vec::new();
    while got.len() < 9 {
        let batch = soon("messages", consumer.next(2)).await;
        assert!((1..=2).contains(&batch.len()), "{}", batch.len());
        got.extend(batch);
    }
    assert_eq!(positions(&got), (1..=9).collect::<Vec<_>>());
}

pub(crate) async fn cancelling_next_loses_nothing(broker: &dyn TestBroker) {
    let bus = broker.bus().await;
    let mut consumer = bus.consume(four(), 0).await.unwrap();
    let publishing = tokio::spawn(async move {
        for position in 1..=300 {
            bus.publish(&messages(0, position..=position)).await.unwrap();
        }
    });
    let mut got = Vec::new();
    while got.len() < 300 {
        // Mostly cancelled, at whatever point it has reached.
        if let Ok(batch) = tokio::time::timeout(Duration::from_micros(300), consumer.next(10)).await {
            got.extend(batch);
            consumer.acknowledge().await;
        }
    }
    soon("the publisher", publishing).await.unwrap();
    assert_eq!(positions(&got), (1..=300).collect::<Vec<_>>());
}

pub(crate) async fn fat_messages_beyond_a_bound_are_dropped_and_leave_a_gap(broker: &dyn TestBroker) {
    const FAT: usize = 400_000;
    let bus = broker.bus().await;
    drop(bus.consume(four(), 0).await.unwrap());
    let last = (broker.bytes_kept() / FAT + 10) as u64;
    for position in 1..=last {
        let mut fat = message(0, position, "x".repeat(FAT));
        fat.previous = position - 1;
        bus.publish(&[fat]).await.unwrap();
    }
    let mut consumer = bus.consume(four(), 0).await.unwrap();
    let mut got: Vec<EventMessage> = Vec::new();
    while got.last().is_none_or(|message| message.event.position < last) {
        got.extend(read(&mut *consumer, 1).await);
        consumer.acknowledge().await;
    }
    assert!(got.len() * FAT <= broker.bytes_kept(), "{} messages were kept", got.len());
    // The consumer sees that messages are missing, and from where on.
    assert!(got[0].previous >= 1 && got[0].previous == got[0].event.position - 1);
    assert_eq!(positions(&got), (got[0].event.position..=last).collect::<Vec<_>>());
}

pub(crate) async fn too_many_unacknowledged_messages_hold_up_the_rest(broker: &dyn TestBroker) {
    let bus = broker.bus().await;
    let window = u64::from(bus::MAX_UNACKNOWLEDGED);
    let mut consumer = bus.consume(four(), 0).await.unwrap();
    // One by one, because several events may be in one message.
    for position in 1..=window + 5 {
        bus.publish(&messages(0, position..=position)).await.unwrap();
    }
    assert_eq!(read(&mut *consumer, window as usize).await.len(), window as usize);
    let more = tokio::time::timeout(Duration::from_millis(100), consumer.next(10)).await;
    assert!(more.is_err(), "more came without an acknowledgement");
    consumer.acknowledge().await;
    assert_eq!(positions(&read(&mut *consumer, 5).await), (window + 1..=window + 5).collect::<Vec<_>>());
}

pub(crate) async fn a_consumer_that_acknowledges_nothing_holds_few_bytes(broker: &dyn TestBroker) {
    let bus = broker.bus().await;
    let large = "x".repeat(56 * 1024);
    let sent: Vec<_> = (1..=100).map(|position| message(0, position, large.clone())).collect();
    let mut consumer = bus.consume(four(), 0).await.unwrap();
    bus.publish(&sent).await.unwrap();
    let mut held = 0;
    // The first ones have arrived, because they were confirmed. No others arrive while this waits.
    while let Ok(got) = tokio::time::timeout(Duration::from_millis(500), consumer.next(1_000)).await {
        held += got.len() * large.len();
    }
    assert!(held > 0, "nothing came");
    assert!(held <= 4 * 1024 * 1024, "{held} bytes came without an acknowledgement");
}
