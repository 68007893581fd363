//! Objects that an operator deletes on the broker while connections use them are created again.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bus::{Bus, BusError, EventConsumer, Heard, Listener};
use lapin::{
    ExchangeKind,
    options::{ExchangeDeclareOptions, ExchangeDeleteOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable, ShortString},
};

use crate::{
    broker::{self, Broker, Proxy, with_broker},
    conformance::{
        TIMEOUT,
        broadcasts::{hear, said},
        four, messages, positions, read,
        requests::{QUEUE, Server, TestResponder},
        soon,
    },
    connected, is_served,
};

/// Waits until what is published arrives again.
async fn arrives_again(bus: &dyn Bus, consumer: &mut dyn EventConsumer, from: u64) {
    let got = soon("messages to arrive again", async {
        for position in from.. {
            // Publishing may fail once over a channel whose objects were deleted.
            let _ = bus.publish(&messages(0, position..=position)).await;
            let next = tokio::time::timeout(Duration::from_millis(50), consumer.next(10));
            if let Ok(got) = next.await {
                return got;
            }
        }
        Vec::new()
    })
    .await;
    assert!(got[0].event.position >= from);
}

async fn delete_exchange(broker: &Broker, name: &str) {
    let exchange = format!("{}.{name}", broker.namespace).into();
    let channel = broker.channel().await;
    channel.exchange_delete(exchange, ExchangeDeleteOptions::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq_messages_reach_their_queue_after_the_exchange_was_deleted() {
    with_broker(async |broker: &Broker| {
        let bus = broker.connect(&broker::url()).await;
        let mut consumer = bus.consume(four(), 0).await.unwrap();
        bus.publish(&messages(0, 1..=1)).await.unwrap();
        assert_eq!(positions(&read(&mut *consumer, 1).await), [1]);
        delete_exchange(broker, "events").await;
        // The next publication repairs it, without a consumer. It is so large that the broker closes the channel while
        // it is still being written.
        bus.publish(&messages(0, 2..=60)).await.unwrap();
        let expected: Vec<u64> = (2..=60).collect();
        assert_eq!(positions(&read(&mut *consumer, expected.len()).await), expected);
        assert!(bus.counts().restored >= 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq_messages_reach_their_queue_after_it_was_unbound() {
    with_broker(async |broker: &Broker| {
        let bus = broker.connect(&broker::url()).await;
        let mut consumer = bus.consume(four(), 0).await.unwrap();
        for round in 0..3 {
            let exchange = format!("{}.events", broker.namespace).into();
            let channel = broker.channel().await;
            channel
                .queue_unbind(broker.queue(0), exchange, "0.#".into(), FieldTable::default())
                .await
                .unwrap();
            let first = round * 10 + 1;
            bus.publish(&messages(0, first..=first + 1)).await.unwrap();
            assert_eq!(positions(&read(&mut *consumer, 2).await), [first, first + 1]);
        }
        assert!(bus.counts().returned >= 1);
    })
    .await;
}

/// Nothing is published that could be returned: the consumer's own check repairs it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq_a_consumer_finds_out_by_itself_that_its_exchange_is_gone() {
    with_broker(async |broker: &Broker| {
        let bus = broker.connect(&broker::url()).await;
        let mut consumer = bus.consume(four(), 0).await.unwrap();
        let waiting = tokio::spawn(async move { consumer.next(1).await });
        delete_exchange(broker, "events").await;
        soon("the exchange", async {
            let found = async || {
                let passive = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
                let exchange = format!("{}.events", broker.namespace).into();
                let channel = broker.channel().await;
                channel
                    .exchange_declare(exchange, ExchangeKind::Topic, passive, FieldTable::default())
                    .await
                    .is_ok()
            };
            while !found().await {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        bus.publish(&messages(0, 5..=5)).await.unwrap();
        let got = soon("the message", waiting).await.unwrap();
        assert_eq!(positions(&got), [5]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq_messages_arrive_after_everything_was_deleted_at_once() {
    with_broker(async |broker: &Broker| {
        let bus = broker.connect(&broker::url()).await;
        let mut consumer = bus.consume(four(), 0).await.unwrap();
        broker.delete_queue(broker.queue(0)).await;
        delete_exchange(broker, "events").await;
        arrives_again(&*bus, &mut *consumer, 1).await;
    })
    .await;
}

/// Hears that messages are missed, and then that they are no longer.
async fn gap(listener: &mut Box<dyn Listener>) {
    assert_eq!(hear(&mut **listener).await, Heard::Interrupted);
    assert_eq!(hear(&mut **listener).await, Heard::Gap);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq_a_listener_hears_a_gap_and_listens_again_after_its_exchange_was_deleted() {
    with_broker(async |broker: &Broker| {
        let (speaker, elsewhere) =
            (broker.connect(&broker::url()).await, broker.connect(&broker::url()).await);
        let mut listeners: Vec<Box<dyn Listener>> =
            vec![speaker.listen("news").await.unwrap(), elsewhere.listen("news").await.unwrap()];
        speaker.broadcast("news", "before".into()).await.unwrap();
        for listener in &mut listeners {
            assert_eq!(hear(&mut **listener).await, said("before"));
        }
        delete_exchange(broker, "broadcast.news").await;
        // Nobody hears this broadcast. It must not make the exchange look as if it had never been missing.
        speaker.broadcast("news", "lost".into()).await.unwrap();
        soon("the gaps", futures::future::join_all(listeners.iter_mut().map(gap))).await;
        speaker.broadcast("news", "after".into()).await.unwrap();
        for listener in &mut listeners {
            assert_eq!(hear(&mut **listener).await, said("after"));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq_a_listener_hears_a_gap_although_another_one_that_starts_finds_no_exchange() {
    with_broker(async |broker: &Broker| {
        let (old, new) = (broker.connect(&broker::url()).await, broker.connect(&broker::url()).await);
        let mut listening = old.listen("news").await.unwrap();
        delete_exchange(broker, "broadcast.news").await;
        let (heard, starting) = tokio::join!(hear(&mut *listening), new.listen("news"));
        assert_eq!(heard, Heard::Interrupted);
        let mut starting = starting.unwrap();
        // The first listener may not be bound yet: if it misses this, it must know.
        new.broadcast("news", "missed".into()).await.unwrap();
        assert_eq!(hear(&mut *starting).await, said("missed"));
        assert_eq!(hear(&mut *listening).await, Heard::Gap);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq_a_listener_that_stood_still_hears_a_gap() {
    with_broker(async |broker: &Broker| {
        let bus = broker.connect(&broker::url()).await;
        let mut listening = bus.listen("news").await.unwrap();
        // Within this time the exchange may have been deleted, left missing for a while, and declared again.
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(hear(&mut *listening).await, Heard::Gap);
        bus.broadcast("news", "heard".into()).await.unwrap();
        assert_eq!(hear(&mut *listening).await, said("heard"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq_requests_are_served_again_after_their_queue_was_deleted() {
    with_broker(async |broker: &Broker| {
        let bus: Arc<dyn Bus> = broker.connect(&broker::url()).await;
        let server = Server::start(&bus, &TestResponder::new(), 10, 2).await;
        let queue = format!("{}.{QUEUE}", broker.namespace);
        broker.delete_queue(queue.into()).await;
        is_served(&*bus).await;
        server.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq_requests_are_served_again_after_their_exchange_was_deleted() {
    with_broker(async |broker: &Broker| {
        let (bus, elsewhere): (Arc<dyn Bus>, Arc<dyn Bus>) =
            (broker.connect(&broker::url()).await, broker.connect(&broker::url()).await);
        let server = Server::start(&bus, &TestResponder::new(), 10, 2).await;
        delete_exchange(broker, "requests").await;
        let start = Instant::now();
        // Unless the responder was faster.
        if let Err(error) = elsewhere.request(QUEUE, "anyone?".into(), TIMEOUT).await {
            assert!(matches!(error, BusError::Unavailable(_)), "{error:?}");
        }
        assert!(start.elapsed() < TIMEOUT / 4, "{:?}", start.elapsed());
        is_served(&*elsewhere).await;
        server.end().await;
    })
    .await;
}

/// An alarm that lasts longer than a responder waits with a reply.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq_requests_are_served_again_after_a_reply_that_was_not_taken() {
    with_broker(async |broker: &Broker| {
        let proxy = Proxy::start().await;
        let served = broker.connect(&proxy.url()).await;
        let (bus, elsewhere): (Arc<dyn Bus>, Arc<dyn Bus>) =
            (served.clone(), broker.connect(&broker::url()).await);
        let responder = TestResponder::new();
        // It has one place.
        let server = Server::start(&bus, &responder, 10, 1).await;
        let asking = elsewhere.request(QUEUE, "held".into(), Duration::from_secs(3));
        let (answer, replying) = tokio::join!(asking, async {
            responder.until_seen("held").await;
            proxy.alarm(true);
            connected(&served, false).await;
            // Another connection may hear of it a little later.
            tokio::time::sleep(Duration::from_millis(200)).await;
            responder.gate.add_permits(1);
            Instant::now()
        });
        assert!(answer.is_err(), "{answer:?}");
        // The broker hears nothing of the responder meanwhile. A little later it would end the connection over that.
        tokio::time::sleep(Duration::from_millis(10_500).saturating_sub(replying.elapsed())).await;
        proxy.alarm(false);
        is_served(&*elsewhere).await;
        server.end().await;
    })
    .await;
}

/// An older or newer release, or an operator, may have declared them with other properties.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq_what_was_declared_otherwise_is_used_as_it_is() {
    with_broker(async |broker: &Broker| {
        let channel = broker.channel().await;
        let mut other = FieldTable::default();
        other.insert("x-max-length".into(), AMQPValue::LongLongInt(50));
        other.insert("x-message-ttl".into(), AMQPValue::LongLongInt(60_000));
        other.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
        let requests: ShortString = format!("{}.{QUEUE}", broker.namespace).into();
        for queue in [broker.queue(0), requests.clone()] {
            channel.queue_declare(queue, QueueDeclareOptions::durable(), other.clone()).await.unwrap();
        }
        for (exchange, kind) in [
            ("events", ExchangeKind::Topic),
            ("requests", ExchangeKind::Direct),
            ("broadcast.news", ExchangeKind::Fanout),
        ] {
            let exchange = format!("{}.{exchange}", broker.namespace).into();
            let not_durable = ExchangeDeclareOptions::default();
            channel.exchange_declare(exchange, kind, not_durable, FieldTable::default()).await.unwrap();
        }
        let bus = broker.connect(&broker::url()).await;
        let mut consumer = bus.consume(four(), 0).await.unwrap();
        bus.publish(&messages(0, 1..=3)).await.unwrap();
        assert_eq!(positions(&read(&mut *consumer, 3).await), [1, 2, 3]);
        let mut listener = bus.listen("news").await.unwrap();
        bus.broadcast("news", "heard".into()).await.unwrap();
        assert_eq!(hear(&mut *listener).await, said("heard"));
        let bus: Arc<dyn Bus> = bus;
        Server::start(&bus, &TestResponder::new(), 10, 2).await.end().await;
        broker.delete_queue(requests).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq_connections_are_closed_with_a_word() {
    with_broker(async |broker: &Broker| {
        let proxy = Proxy::start().await;
        let bus = broker.connect(&proxy.url()).await;
        let consumer = bus.consume(four(), 0).await.unwrap();
        bus.close().await;
        soon("the ends of the connections", async {
            while proxy.last_words().len() < 3 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        for words in proxy.last_words() {
            // `connection.close`: class 10, method 50.
            assert!(words.windows(4).any(|method| method == [0, 10, 0, 50]), "{words:?}");
        }
        drop(consumer);
        assert!(!bus.is_connected());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq_a_broker_in_alarm_is_not_connected() {
    with_broker(async |broker: &Broker| {
        let proxy = Proxy::start().await;
        let bus = broker.connect(&proxy.url()).await;
        for raised in [true, false, true, false] {
            proxy.alarm(raised);
            connected(&bus, !raised).await;
            // Publishing fails at once, instead of waiting until messages are accepted.
            let start = Instant::now();
            assert_eq!(bus.publish(&messages(0, 1..=1)).await.is_err(), raised);
            assert_eq!(bus.broadcast("news", "x".into()).await.is_err(), raised);
            if raised {
                assert!(bus.request(QUEUE, "x".into(), TIMEOUT).await.is_err());
                assert!(start.elapsed() < TIMEOUT / 4, "{:?}", start.elapsed());
            }
        }
    })
    .await;
}

/// No responder has declared the exchange of requests yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq_requests_before_the_first_responder_cost_the_connection_nothing() {
    with_broker(async |broker: &Broker| {
        let bus = broker.connect(&broker::url()).await;
        let fails = async || {
            let failed = bus.request(QUEUE, "anyone?".into(), TIMEOUT).await;
            assert!(matches!(failed, Err(BusError::Unavailable(_))), "{failed:?}");
        };
        fails().await;
        // A channel was lost over it.
        connected(&bus, true).await;
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(1) {
            fails().await;
            assert!(bus.is_connected(), "another channel was lost");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let elsewhere: Arc<dyn Bus> = broker.connect(&broker::url()).await;
        let server = Server::start(&elsewhere, &TestResponder::new(), 10, 2).await;
        is_served(&*bus).await;
        server.end().await;
    })
    .await;
}
