//! Messages that the broker refuses do not delay others, and late requests are not answered.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use ::events::StreamName;
use bus::{Bus, BusError, Refusal};
use lapin::{
    BasicProperties, Channel,
    options::{BasicGetOptions, BasicPublishOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable, ShortString},
};

use crate::{
    broker::{self, Broker, with_broker},
    conformance::{
        four, messages, positions, read,
        requests::{QUEUE, Server, TestResponder},
    },
};

fn refused(outcome: Result<(), BusError>) -> Vec<u64> {
    match outcome {
        Err(BusError::Refused(refusals)) => {
            refusals.iter().map(|refusal: &Refusal| refusal.position).collect()
        }
        other => panic!("{other:?}"),
    }
}

/// Sends a request to an exchange and a queue, with properties that callers of this library would not send.
async fn send(
    channel: &Channel,
    [exchange, queue]: [&ShortString; 2],
    request: &str,
    properties: BasicProperties,
) {
    let (exchange, queue) = (exchange.clone(), queue.clone());
    let options = BasicPublishOptions::default();
    let sent = channel.basic_publish(exchange, queue, options, request.as_bytes(), properties);
    sent.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq_a_message_too_large_for_a_frame_is_refused_and_the_others_are_taken() {
    with_broker(async |broker: &Broker| {
        let bus = broker.connect(&broker::url()).await;
        let mut consumer = bus.consume(four(), 0).await.unwrap();
        // Frames are small, since the library holds memory for many of the largest.
        let long = "x".repeat(20_000);
        let mut sent = messages(0, 1..=9);
        sent[1].event.stream = StreamName::raw(format!("task-{long}"));
        sent[2].event.kind = long;
        sent[4].event.kind = "x".repeat(300);
        sent[5].event.data = vec![b'x'; 20_000_000].into();
        sent[6].event.position = u64::MAX;
        assert_eq!(refused(bus.publish(&sent).await), [2, 3, 5, 6, u64::MAX]);
        assert_eq!(positions(&read(&mut *consumer, 4).await), [1, 4, 8, 9]);
        assert!(bus.is_connected(), "the connection was lost over it");
        assert_eq!(bus.counts().refused, 5);
    })
    .await;
}

/// A queue that accepts nothing, for example one without a majority or with a limit of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq_what_a_queue_does_not_take_is_refused_and_other_partitions_go_on() {
    with_broker(async |broker: &Broker| {
        let bus = broker.connect(&broker::url()).await;
        let mut zero = bus.consume(four(), 0).await.unwrap();
        let mut one = bus.consume(four(), 1).await.unwrap();
        let channel = broker.channel().await;
        let mut full = FieldTable::default();
        full.insert("x-max-length".into(), AMQPValue::LongLongInt(0));
        full.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
        let queue = channel.queue_declare("".into(), QueueDeclareOptions::exclusive(), full).await.unwrap();
        let exchange = format!("{}.events", broker.namespace).into();
        channel
            .queue_bind(
                queue.name().clone(),
                exchange,
                "0.#".into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            )
            .await
            .unwrap();
        let mixed = [messages(0, 1..=2), messages(1, 3..=4)].concat();
        assert_eq!(refused(bus.publish(&mixed).await), [1, 2]);
        assert_eq!(positions(&read(&mut *one, 2).await), [3, 4]);
        // The other queue of the same partition has the messages.
        assert_eq!(positions(&read(&mut *zero, 2).await), [1, 2]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq_an_expired_request_that_is_delivered_does_not_reach_the_responder() {
    with_broker(async |broker: &Broker| {
        let bus = broker.connect(&broker::url()).await;
        let dyn_bus: Arc<dyn Bus> = bus.clone();
        let responder = TestResponder::new();
        let server = Server::start(&dyn_bus, &responder, 10, 2).await;
        let queue: ShortString = format!("{}.{QUEUE}", broker.namespace).into();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let channel = broker.channel().await;
        // Without a time to live, so that the broker does not drop it.
        for (request, until) in
            [("late", now - Duration::from_secs(5)), ("in time", now + Duration::from_secs(60))]
        {
            let mut headers = FieldTable::default();
            let until = i64::try_from(until.as_millis()).unwrap();
            headers.insert("taskledger:deadline".into(), AMQPValue::LongLongInt(until));
            let properties = BasicProperties::default()
                .with_reply_to("amq.rabbitmq.reply-to.nobody".into())
                .with_correlation_id(request.into())
                .with_headers(headers);
            send(&channel, [&ShortString::default(), &queue], request, properties).await;
        }
        responder.until_seen("in time").await;
        server.end().await;
        assert!(!responder.seen("late"));
        assert_eq!(bus.counts().expired, 1);
    })
    .await;
}

/// A responder may write to queues to which callers may not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq_a_reply_goes_to_no_queue_that_a_request_names() {
    with_broker(async |broker: &Broker| {
        let bus: Arc<dyn Bus> = broker.connect(&broker::url()).await;
        let responder = TestResponder::new();
        let server = Server::start(&bus, &responder, 10, 1).await;
        let channel = broker.channel().await;
        let elsewhere = channel
            .queue_declare("".into(), QueueDeclareOptions::exclusive(), FieldTable::default())
            .await
            .unwrap()
            .name()
            .clone();
        let exchange: ShortString = format!("{}.requests", broker.namespace).into();
        let queue: ShortString = format!("{}.{QUEUE}", broker.namespace).into();
        // The responder takes one request at a time, in their order.
        for (request, reply_to) in
            [("answer elsewhere", elsewhere.clone()), ("after it", "amq.rabbitmq.reply-to.nobody".into())]
        {
            let properties =
                BasicProperties::default().with_reply_to(reply_to).with_correlation_id(request.into());
            send(&channel, [&exchange, &queue], request, properties).await;
        }
        responder.until_seen("after it").await;
        server.end().await;
        assert!(!responder.seen("answer elsewhere"));
        let got = channel.basic_get(elsewhere, BasicGetOptions::default()).await.unwrap();
        assert!(got.is_none(), "a reply went to a queue");
    })
    .await;
}
