//! The bus over RabbitMQ keeps every promise, and survives lost connections and queues.

#![expect(clippy::disallowed_methods, reason = "tests make ids and start tasks as they like")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod broker;
mod conformance;
mod healing;
mod refusing;
mod wire_format;

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use broker::{Broker, Proxy, with, with_broker};
use bus::{Bus, BusError, EventConsumer, Heard, RabbitBus, RabbitOptions};
use conformance::{
    TIMEOUT,
    broadcasts::{hear, said},
    four, messages, positions, read,
    requests::{QUEUE, Server, TestResponder, ask},
    soon,
};
use lapin::options::QueuePurgeOptions;

conformance!(crate::with);

/// Publishes until the bus takes it, as the relay does.
async fn publish(bus: &RabbitBus, positions: std::ops::RangeInclusive<u64>) {
    let messages = messages(0, positions);
    soon("the bus to take messages", async {
        while bus.publish(&messages).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// Reads and acknowledges until `count` different positions have arrived, however often each one does.
async fn read_until(consumer: &mut dyn EventConsumer, seen: &mut BTreeSet<u64>, count: usize) {
    while seen.len() < count {
        seen.extend(positions(&soon("messages", consumer.next(100)).await));
        consumer.acknowledge().await;
    }
}

async fn connected(bus: &RabbitBus, wanted: bool) {
    soon("the connections", async {
        while bus.is_connected() != wanted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Waits until requests are answered.
async fn is_served(bus: &dyn Bus) {
    soon("requests to be served", async {
        while bus.request(QUEUE, "again".into(), TIMEOUT).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_events_survives_lost_connections() {
    with_broker(async |broker: &Broker| {
        let proxy = Proxy::start().await;
        let (publisher, reader) = (broker.connect(&proxy.url()).await, broker.connect(&proxy.url()).await);
        let mut consumer = reader.consume(four(), 0).await.unwrap();
        let publishing = tokio::spawn(async move {
            for n in 0..100 {
                publish(&publisher, n * 10 + 1..=n * 10 + 10).await;
            }
        });
        let mut seen = BTreeSet::new();
        for cut_after in [100, 400, 700] {
            read_until(&mut *consumer, &mut seen, cut_after).await;
            proxy.cut();
        }
        // Every confirmed message arrives.
        read_until(&mut *consumer, &mut seen, 1_000).await;
        assert_eq!(seen, (1..=1_000).collect());
        soon("the publisher", publishing).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_connection_everything_fails_fast_and_then_resumes() {
    with_broker(async |broker: &Broker| {
        let proxy = Proxy::start().await;
        let bus = broker.connect(&proxy.url()).await;
        let dyn_bus: Arc<dyn Bus> = bus.clone();
        let responder = TestResponder::new();
        let server = Server::start(&dyn_bus, &responder, 10, 4).await;
        let mut consumer = bus.consume(four(), 0).await.unwrap();
        let mut listener = bus.listen("news").await.unwrap();
        assert!(bus.is_connected());

        let outstanding = ask(&dyn_bus, "held", TIMEOUT);
        responder.until_seen("held").await;
        proxy.shut();
        let start = Instant::now();
        let failed = soon("the outstanding request", outstanding).await.unwrap();
        assert!(matches!(failed, Err(BusError::Unavailable(_))), "{failed:?}");
        connected(&bus, false).await;
        for _ in 0..10 {
            let failed = bus.request(QUEUE, "now".into(), TIMEOUT).await;
            assert!(matches!(failed, Err(BusError::Unavailable(_))), "{failed:?}");
        }
        assert!(bus.publish(&messages(0, 1..=1)).await.is_err());
        assert!(bus.broadcast("news", "lost".into()).await.is_err());
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());

        responder.gate.add_permits(100);
        proxy.let_in();
        connected(&bus, true).await;
        publish(&bus, 1..=5).await;
        assert_eq!(positions(&read(&mut *consumer, 5).await), [1, 2, 3, 4, 5]);
        is_served(&*bus).await;
        assert_eq!(soon("the listener", listener.next()).await, Heard::Gap);
        bus.broadcast("news", "found".into()).await.unwrap();
        assert_eq!(hear(&mut *listener).await, said("found"));
        server.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_broker_counts_as_lost_within_fifteen_seconds() {
    with_broker(async |broker: &Broker| {
        let proxy = Proxy::start().await;
        let (client, other) = (broker.connect(&proxy.url()).await, broker.connect(&proxy.url()).await);
        let responder = TestResponder::new();
        responder.gate.add_permits(1_000);
        let served: Arc<dyn Bus> = other.clone();
        let server = Server::start(&served, &responder, 10, 4).await;
        client.request(QUEUE, "before".into(), TIMEOUT).await.unwrap();
        proxy.silence();
        let start = Instant::now();
        soon("requests to be answered again", async {
            while client.request(QUEUE, "after".into(), Duration::from_secs(1)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        // It counts as lost after twelve and a half seconds at most, and twice the interval of heartbeats would make it
        // 25. The rest is for connecting again, which takes seconds on a busy machine.
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
        server.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_across_lost_connections_are_answered_right_or_not_at_all() {
    with_broker(async |broker: &Broker| {
        let proxy = Proxy::start().await;
        let caller: Arc<dyn Bus> = broker.connect(&proxy.url()).await;
        let server_bus: Arc<dyn Bus> = broker.connect(&proxy.url()).await;
        let server = Server::start(&server_bus, &TestResponder::new(), 1_000, 16).await;
        let asking: Vec<_> = (0..16)
            .map(|who| {
                let caller = caller.clone();
                tokio::spawn(async move {
                    let mut answered = 0;
                    for round in 0.. {
                        let request = format!("random {who} {round}");
                        if let Ok(reply) = caller.request(QUEUE, request.clone().into(), TIMEOUT).await {
                            assert_eq!(reply, format!("re: {request}"));
                            answered += 1;
                        } else {
                            tokio::time::sleep(Duration::from_millis(10)).await;
                        }
                        if answered == 60 {
                            break;
                        }
                    }
                })
            })
            .collect();
        for _ in 0..3 {
            // Everything works, and requests are under way.
            is_served(&*caller).await;
            proxy.cut();
        }
        for asker in asking {
            soon("a requester", asker).await.unwrap();
        }
        server.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purged_queue_is_a_gap_and_nothing_worse() {
    with_broker(async |broker: &Broker| {
        let bus = broker.connect(&broker::url()).await;
        drop(bus.consume(four(), 0).await.unwrap());
        publish(&bus, 1..=20).await;
        broker.channel().await.queue_purge(broker.queue(0), QueuePurgeOptions::default()).await.unwrap();
        let mut consumer = bus.consume(four(), 0).await.unwrap();
        publish(&bus, 21..=22).await;
        let got = read(&mut *consumer, 2).await;
        assert_eq!(positions(&got), [21, 22]);
        assert_eq!(got[0].previous, 20);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_queue_is_declared_again() {
    with_broker(async |broker: &Broker| {
        let bus = broker.connect(&broker::url()).await;
        let mut consumer = bus.consume(four(), 0).await.unwrap();
        publish(&bus, 1..=2).await;
        assert_eq!(read(&mut *consumer, 2).await.len(), 2);
        broker.delete_queue(broker.queue(0)).await;
        // Acknowledging lost messages, and publishing without consumers, do no harm.
        consumer.acknowledge().await;
        publish(&bus, 3..=3).await;
        let mut position = 4;
        let got = soon("the consumer's return", async {
            loop {
                publish(&bus, position..=position).await;
                position += 1;
                if let Ok(got) = tokio::time::timeout(Duration::from_millis(20), consumer.next(100)).await {
                    return got;
                }
            }
        })
        .await;
        assert!(got[0].event.position >= 3);
        consumer.acknowledge().await;
    })
    .await;
}

async fn connect(url: &str, namespace: &str) -> Result<Arc<RabbitBus>, BusError> {
    let options = RabbitOptions { name: "test".to_owned(), namespace: namespace.to_owned() };
    RabbitBus::connect(url, options).await
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_an_error_that_says_where() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = connect(&format!("amqp://guest:secret@127.0.0.1:{free}/%2f"), "test").await.unwrap_err();
    assert!(error.to_string().contains(&format!("cannot connect to 127.0.0.1:{free}")), "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
    assert_eq!(error.to_string().matches("unavailable").count(), 1, "{error}");
    let error = connect(&format!("amqp://[::1]:{free}/%2f"), "test").await.unwrap_err();
    assert!(error.to_string().contains(&format!("cannot connect to ::1:{free}")), "{error}");
    let error = connect("not a url", "test").await.unwrap_err();
    assert!(error.to_string().contains("not an AMQP URL"), "{error}");
    let error = connect(&broker::url(), "a b").await.unwrap_err();
    assert!(error.to_string().contains("namespace"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_attempt_to_connect_goes_on_after_a_failed_start() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("amqp://guest:guest@{}/%2f", listener.local_addr().unwrap());
    let broker = async {
        let (first, _) = listener.accept().await.unwrap();
        let (_second, _) = listener.accept().await.unwrap();
        let (_third, _) = listener.accept().await.unwrap();
        drop(first);
        tokio::time::sleep(Duration::from_millis(300)).await;
        Instant::now()
    };
    let start = async {
        let failed = connect(&url, "test").await.is_err();
        (failed, Instant::now())
    };
    let (hung_up, (failed, reported)) = soon("a failure", async { tokio::join!(broker, start) }).await;
    assert!(failed);
    assert!(reported > hung_up, "reported while other attempts were under way");
}
