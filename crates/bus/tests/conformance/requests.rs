//! Requests and replies.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bus::{Bus, BusError, Responder, ResponderOptions};
use bytes::Bytes;
use tokio::{sync::Semaphore, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{TIMEOUT, TestBroker, soon};

pub(crate) const QUEUE: &str = "test.verify";
const SHORT: Duration = Duration::from_millis(300);
/// Long enough for a request to reach its responder.
const SEEN: Duration = Duration::from_secs(3);

/// Answers `x` with `re: x`. The request says what to do first.
#[derive(Debug)]
pub(crate) struct TestResponder {
    seen: Mutex<Vec<String>>,
    running: AtomicUsize,
    most: AtomicUsize,
    /// Each `held` request needs a permit to be answered.
    pub(crate) gate: Semaphore,
}

impl TestResponder {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            seen: Mutex::default(),
            running: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            gate: Semaphore::new(0),
        })
    }

    pub(crate) fn seen(&self, request: &str) -> bool {
        self.seen.lock().unwrap().iter().any(|seen| seen == request)
    }

    /// Waits until it has seen the request.
    pub(crate) async fn until_seen(&self, request: &str) {
        self.until(request, || self.seen(request)).await;
    }

    /// Waits until it has seen the first `count` requests of [`ask_all`].
    async fn until_all_seen(&self, what: &str, count: usize) {
        for n in 0..count {
            self.until_seen(&format!("{what} {n}")).await;
        }
    }

    async fn until(&self, what: &str, condition: impl Fn() -> bool) {
        soon(what, async {
            while !condition() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
    }
}

#[async_trait]
impl Responder for TestResponder {
    async fn respond(&self, request: Bytes) -> Bytes {
        let text = String::from_utf8_lossy(&request).into_owned();
        self.seen.lock().unwrap().push(text.clone());
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(running, Ordering::SeqCst);
        if text.starts_with("held") {
            self.gate.acquire().await.unwrap().forget();
        } else if text.starts_with("random") {
            tokio::time::sleep(Duration::from_micros(rand::random_range(0..20_000))).await;
        }
        self.running.fetch_sub(1, Ordering::SeqCst);
        assert!(!text.starts_with("panic"), "as the request asked for");
        [b"re: ", &request[..]].concat().into()
    }
}

/// A running responder.
pub(crate) struct Server {
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<Result<(), BusError>>,
}

impl Server {
    /// Starts to serve and waits until `responder` has answered something.
    pub(crate) async fn start(
        bus: &Arc<dyn Bus>,
        responder: &Arc<TestResponder>,
        queue_limit: u32,
        concurrency: u16,
    ) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn({
            let (bus, responder, stop) = (bus.clone(), responder.clone(), stop.clone());
            async move { bus.serve(QUEUE, ResponderOptions { queue_limit, concurrency }, responder, stop).await }
        });
        soon("the responder", async {
            while !responder.seen("hello") {
                let _ = bus.request(QUEUE, "hello".into(), SHORT).await;
                tokio::task::yield_now().await;
            }
        })
        .await;
        Self { stop, task }
    }

    pub(crate) async fn end(self) {
        self.stop.cancel();
        soon("the responder's end", self.task).await.unwrap().unwrap();
    }
}

/// A request that waits for its reply.
type Asked = JoinHandle<Result<Bytes, BusError>>;

pub(crate) fn ask(bus: &Arc<dyn Bus>, request: impl Into<Bytes>, deadline: Duration) -> Asked {
    let (bus, request) = (bus.clone(), request.into());
    tokio::spawn(async move { bus.request(QUEUE, request, deadline).await })
}

/// Sends `count` requests, which differ in the number after `what`.
fn ask_all(bus: &Arc<dyn Bus>, what: &str, count: usize, deadline: Duration) -> Vec<Asked> {
    (0..count).map(|n| ask(bus, format!("{what} {n}"), deadline)).collect()
}

/// Waits until each request of [`ask_all`] has got its own reply.
async fn are_answered(asked: Vec<Asked>, what: &str) {
    for (n, asked) in asked.into_iter().enumerate() {
        let reply = soon("a reply", asked).await.unwrap().unwrap();
        assert_eq!(reply, format!("re: {what} {n}"));
    }
}

pub(crate) async fn a_reply_comes_back_byte_for_byte(broker: &dyn TestBroker) {
    let (caller, server_bus) = (broker.bus().await, broker.bus().await);
    let server = Server::start(&server_bus, &TestResponder::new(), 10, 2).await;
    for request in [&b""[..], "Grüße, 世界 🎉".as_bytes(), &[0, 255, 254, 13, 10], &[b'x'; 300_000]] {
        let reply = caller.request(QUEUE, Bytes::copy_from_slice(request), TIMEOUT).await.unwrap();
        assert_eq!(reply, [b"re: ", request].concat());
    }
    server.end().await;
}

pub(crate) async fn each_of_64_requesters_gets_its_own_reply(broker: &dyn TestBroker) {
    let callers = [broker.bus().await, broker.bus().await];
    let server = Server::start(&broker.bus().await, &TestResponder::new(), 1_000, 24).await;
    let asking = (0..64).map(|who| {
        let bus = callers[who % 2].clone();
        tokio::spawn(async move {
            for round in 0..15 {
                let request = format!("random delay, requester {who}, round {round}");
                let reply = bus.request(QUEUE, request.clone().into(), TIMEOUT).await.unwrap();
                assert_eq!(reply, format!("re: {request}"));
            }
        })
    });
    for asker in asking.collect::<Vec<_>>() {
        soon("a requester", asker).await.unwrap();
    }
    server.end().await;
}

pub(crate) async fn a_late_reply_reaches_nobody(broker: &dyn TestBroker) {
    let bus = broker.bus().await;
    let responder = TestResponder::new();
    let server = Server::start(&bus, &responder, 10, 8).await;
    let late = ask_all(&bus, "held", 4, SEEN);
    responder.until_all_seen("held", 4).await;
    for late in late {
        assert!(matches!(late.await.unwrap(), Err(BusError::Deadline(_))));
    }
    // From here on the requests of other callers are answered.
    let next = ask_all(&bus, "held again", 4, TIMEOUT);
    responder.until_all_seen("held again", 4).await;
    // Enough for the late ones, too, if they still wait for one.
    responder.gate.add_permits(8);
    are_answered(next, "held again").await;
    assert_eq!(bus.request(QUEUE, "one more".into(), TIMEOUT).await.unwrap(), "re: one more");
    server.end().await;
}

pub(crate) async fn an_expired_request_is_not_served(broker: &dyn TestBroker) {
    let bus = broker.bus().await;
    let responder = TestResponder::new();
    let server = Server::start(&bus, &responder, 10, 1).await;
    let first = ask(&bus, "held", TIMEOUT);
    responder.until_seen("held").await;
    // The broker starts its clock a little later than the caller; the second request gives it that time.
    for (request, deadline) in [("expired", SHORT / 10), ("expired later", SHORT)] {
        let expired = bus.request(QUEUE, request.into(), deadline).await;
        assert!(matches!(expired, Err(BusError::Deadline(_))), "{expired:?}");
    }
    let third = ask(&bus, "third", TIMEOUT);
    responder.gate.add_permits(1);
    assert_eq!(soon("the first", first).await.unwrap().unwrap(), "re: held");
    assert_eq!(soon("the third", third).await.unwrap().unwrap(), "re: third");
    assert!(!responder.seen("expired"));
    server.end().await;
}

pub(crate) async fn without_a_responder_a_request_fails_at_once(broker: &dyn TestBroker) {
    let bus = broker.bus().await;
    let unserved = || async {
        let start = Instant::now();
        let answer = bus.request(QUEUE, "anyone?".into(), TIMEOUT).await;
        assert!(matches!(answer, Err(BusError::Unavailable(_))), "{answer:?}");
        assert!(start.elapsed() < TIMEOUT / 2);
    };
    unserved().await;
    Server::start(&broker.bus().await, &TestResponder::new(), 10, 1).await.end().await;
    unserved().await;
}

pub(crate) async fn a_full_queue_sheds_load(broker: &dyn TestBroker) {
    let bus = broker.bus().await;
    let responder = TestResponder::new();
    let server = Server::start(&broker.bus().await, &responder, 2, 1).await;
    let first = ask(&bus, "held 0", TIMEOUT);
    responder.until_seen("held 0").await;
    let mut rest: Vec<_> = (1..=10).map(|n| ask(&bus, format!("held {n}"), TIMEOUT)).collect();
    // All requests that do not fit into the queue are refused before any is answered.
    let mut refused = 0;
    while refused < 8 {
        let (outcome, _, others) = soon("a refusal", futures::future::select_all(rest)).await;
        assert!(matches!(outcome, Ok(Err(BusError::Overloaded))), "{outcome:?}");
        (rest, refused) = (others, refused + 1);
    }
    responder.gate.add_permits(11);
    assert!(soon("the first", first).await.unwrap().is_ok());
    for waited in rest {
        assert!(soon("those in the queue", waited).await.unwrap().is_ok());
    }
    server.end().await;
}

pub(crate) async fn no_more_requests_run_at_once_than_allowed(broker: &dyn TestBroker) {
    let bus = broker.bus().await;
    let responder = TestResponder::new();
    let server = Server::start(&bus, &responder, 100, 3).await;
    are_answered(ask_all(&bus, "random", 50, TIMEOUT), "random").await;
    assert_eq!(responder.most.load(Ordering::SeqCst), 3);
    server.end().await;
}

pub(crate) async fn several_responders_share_a_queue(broker: &dyn TestBroker) {
    let bus = broker.bus().await;
    let responders = [TestResponder::new(), TestResponder::new()];
    let one = Server::start(&broker.bus().await, &responders[0], 10, 1).await;
    let other = Server::start(&broker.bus().await, &responders[1], 10, 1).await;
    let asking = [ask(&bus, "held a", TIMEOUT), ask(&bus, "held b", TIMEOUT)];
    // Each takes one request at a time, so both have one now.
    for responder in &responders {
        let has_one = || responder.seen("held a") || responder.seen("held b");
        responder.until("its request", has_one).await;
    }
    for responder in &responders {
        responder.gate.add_permits(1);
    }
    for asked in asking {
        assert!(soon("a reply", asked).await.unwrap().is_ok());
    }
    one.end().await;
    other.end().await;
}

pub(crate) async fn stopping_finishes_what_has_begun(broker: &dyn TestBroker) {
    let bus = broker.bus().await;
    let responder = TestResponder::new();
    let server = Server::start(&broker.bus().await, &responder, 10, 4).await;
    let begun = ask_all(&bus, "held", 4, TIMEOUT);
    responder.until_all_seen("held", 4).await;
    server.stop.cancel();
    // Serving has stopped when no new request is taken.
    soon("the end of service", async {
        while !matches!(bus.request(QUEUE, "new".into(), SHORT).await, Err(BusError::Unavailable(_))) {}
    })
    .await;
    assert!(!server.task.is_finished());
    responder.gate.add_permits(4);
    are_answered(begun, "held").await;
    server.end().await;
}

pub(crate) async fn a_stopped_responder_leaves_the_rest_to_another(broker: &dyn TestBroker) {
    let bus = broker.bus().await;
    let responders = [TestResponder::new(), TestResponder::new()];
    let stopped = Server::start(&broker.bus().await, &responders[0], 100, 1).await;
    let other = Server::start(&broker.bus().await, &responders[1], 100, 1).await;
    let asking = ask_all(&bus, "random", 40, TIMEOUT);
    stopped.end().await;
    are_answered(asking, "random").await;
    other.end().await;
}

pub(crate) async fn a_panicking_responder_costs_one_request(broker: &dyn TestBroker) {
    let bus = broker.bus().await;
    let server = Server::start(&bus, &TestResponder::new(), 10, 1).await;
    assert!(bus.request(QUEUE, "panic".into(), SHORT).await.is_err());
    assert_eq!(bus.request(QUEUE, "still there?".into(), TIMEOUT).await.unwrap(), "re: still there?");
    server.end().await;
}

pub(crate) async fn a_hanging_responder_gives_its_slot_back_at_the_deadline(broker: &dyn TestBroker) {
    let bus = broker.bus().await;
    let responder = TestResponder::new();
    let server = Server::start(&bus, &responder, 10, 1).await;
    // It waits for a permit that never comes.
    let hanging = ask(&bus, "held", SEEN);
    responder.until_seen("held").await;
    assert_eq!(bus.request(QUEUE, "next".into(), TIMEOUT).await.unwrap(), "re: next");
    assert!(matches!(hanging.await.unwrap(), Err(BusError::Deadline(_))));
    server.end().await;
}
