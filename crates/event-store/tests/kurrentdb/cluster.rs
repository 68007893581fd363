//! Leaders that fail, resign or are cut off, and how a store finds the next one.

use std::{sync::Arc, time::Duration};

use event_store::EventStore;
use kurrentdb_stand_in::{Behaviour, StandIn};
use test_support::once_within;
use tokio::time::{Instant, sleep};

use super::conformance::{assert_in_order, event, events, stream, take, whole_log, whole_stream};

/// A store on a cluster of three, and one task that appends to it all the time.
struct Load {
    server: StandIn,
    store: Arc<dyn EventStore>,
}

impl Load {
    async fn start(parameters: &str) -> Self {
        let server = StandIn::cluster(Behaviour::default(), 3);
        let store = Self::open(&server, parameters).await;
        Self { server, store }
    }

    async fn open(server: &StandIn, parameters: &str) -> Arc<dyn EventStore> {
        let hosts: Vec<String> = server.addresses().iter().map(ToString::to_string).collect();
        let url = format!("kurrentdb://{}?tls=false{parameters}", hosts.join(","));
        event_store::open(&url, 1).await.unwrap()
    }

    /// Appends during `fault` and for `lasting` afterwards; returns the longest time without a success.
    async fn longest_gap(&mut self, lasting: Duration, fault: impl AsyncFnOnce(&mut StandIn)) -> Duration {
        let store = Arc::clone(&self.store);
        let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
        let load = tokio::spawn(async move {
            let (mut longest, mut last) = (Duration::ZERO, Instant::now());
            let mut ids = Vec::new();
            while stopped.try_recv().is_err() {
                let new = event("{}");
                let name = stream(&format!("task-{}", new.id));
                ids.push(new.id);
                store.append(&name, 0, vec![new]).await.expect("no append fails");
                longest = longest.max(last.elapsed());
                last = Instant::now();
            }
            (longest, ids)
        });
        sleep(Duration::from_millis(200)).await;
        fault(&mut self.server).await;
        sleep(lasting).await;
        stop.send(()).unwrap();
        let (longest, ids) = load.await.unwrap();
        let log = whole_log(&*self.store).await;
        assert_in_order(&log, false);
        assert!(ids.iter().all(|id| log.iter().filter(|event| event.id == *id).count() == 1));
        longest
    }
}

/// The other nodes elect a leader after a moment. A client that waits until its connection is declared dead waits much
/// longer, as the vendor's client does for 20 seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen_leader_is_left() {
    let mut load = Load::start("").await;
    let freeze = async |server: &mut StandIn| {
        server.freeze(0);
        sleep(Duration::from_secs(2)).await;
        server.elect(Some(1));
    };
    let gap = load.longest_gap(Duration::from_secs(7), freeze).await;
    assert!(gap > Duration::from_millis(1_900), "it was not frozen: {gap:?}");
    assert!(gap < Duration::from_secs(8), "{gap:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_leader_is_left_without_an_error() {
    let kill = async |server: &mut StandIn| {
        server.stop_node(0);
        sleep(Duration::from_secs(1)).await;
        server.elect(Some(2));
    };
    once_within(Duration::from_secs(3), async || {
        let mut load = Load::start("").await;
        load.longest_gap(Duration::from_secs(3), &kill).await
    })
    .await;
}

/// The leader resigns and names the new one: nothing else ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_leader_is_followed() {
    let resign = async |server: &mut StandIn| {
        server.elect(None);
        sleep(Duration::from_millis(300)).await;
        server.elect(Some(2));
        sleep(Duration::from_millis(300)).await;
        server.elect(Some(0));
    };
    once_within(Duration::from_secs(2), async || {
        let mut load = Load::start("").await;
        load.longest_gap(Duration::from_secs(1), &resign).await
    })
    .await;
}

/// A leader that is cut off from the others keeps its connections to clients, and answers that it is not ready.
/// Meanwhile the others have another leader.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leader_that_is_cut_off_is_left() {
    let mut load = Load::start("").await;
    let cut = async |server: &mut StandIn| {
        // As long as a real leader takes to notice that its replicas are gone.
        server.cut_off(0, Duration::from_secs(3));
        server.elect(Some(1));
    };
    load.longest_gap(Duration::from_secs(6), cut).await;
}

/// A leader that wrongly believes that it still leads only answers with time-outs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leader_that_only_times_out_is_left() {
    let mut load = Load::start("").await;
    let cut = async |server: &mut StandIn| {
        server.cut_off(0, Duration::from_secs(3_600));
        server.elect(Some(1));
    };
    load.longest_gap(Duration::from_secs(6), cut).await;
}

/// A process that only reads finds the new leader, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_leave_a_leader_that_is_cut_off() {
    let Load { server, store } = Load::start("").await;
    store.append(&stream("task-1"), 0, events(2)).await.unwrap();
    let reader = Load::open(&server, "").await;
    assert_eq!(whole_log(&*reader).await.len(), 2);
    server.cut_off(0, Duration::ZERO);
    server.elect(Some(1));
    assert_eq!(whole_stream(&*reader, "task-1").await.len(), 2);
    assert_eq!(whole_log(&*reader).await.len(), 2);
}

/// A node that is behind names a stopped leader. The answers of the others are not delayed by that one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen_node_that_is_named_as_leader_delays_nobody() {
    let server = StandIn::cluster(Behaviour::default(), 3);
    server.cut_off(1, Duration::from_secs(3_600));
    server.freeze(0);
    server.elect(Some(2));
    for _ in 0..10 {
        // A caller that waits for the stopped node has no second attempt.
        let store = Load::open(&server, "&gossipTimeout=6000&defaultDeadline=5000").await;
        store.can_append().await.unwrap();
    }
}

/// A node that was just added to a cluster has no users before it has the log, and refuses all clients.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_without_users_hides_no_election() {
    let behaviour =
        Behaviour { user: Some(("taskledger".to_owned(), "secret".to_owned())), ..Behaviour::default() };
    let server = StandIn::cluster(behaviour, 3);
    server.empty(2);
    server.elect(None);
    let opening = tokio::spawn({
        let [one, other, empty] = server.addresses()[..] else { panic!("three nodes") };
        let url = format!("kurrentdb://taskledger:secret@{one},{other},{empty}?tls=false");
        async move { event_store::open(&url, 1).await.map(drop) }
    });
    sleep(Duration::from_secs(2)).await;
    server.elect(Some(1));
    opening.await.unwrap().unwrap();
}

/// The subscription of a leader that is cut off delivers nothing and does not end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_follow_the_leader() {
    let Load { server, store } = Load::start("").await;
    let mut subscription = store.subscribe(0);
    store.append(&stream("task-1"), 0, events(2)).await.unwrap();
    let mut seen = take(&mut subscription, 2).await;
    server.cut_off(0, Duration::ZERO);
    server.elect(Some(1));
    store.append(&stream("task-1"), 2, events(1)).await.unwrap();
    seen.extend(take(&mut subscription, 1).await);
    assert_eq!(seen, whole_log(&*store).await);
}
