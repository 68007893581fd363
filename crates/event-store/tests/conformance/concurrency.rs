//! Concurrent appends: no version twice, no event missing or out of order.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use event_store::{EventStore, StoreError};
use events::{EventId, RecordedEvent};
use test_support::read_all;
use tokio::task::JoinSet;

use super::{TestLog, assert_exactly, assert_in_order, events, stream, take, whole_log, whole_stream};

const WRITERS: usize = 16;

/// Appends `rounds` times one to three events, alternately to a stream of its own and to a shared one, and returns
/// the acknowledged events. Conflicts are retried; they must report a higher version.
async fn write(store: Arc<dyn EventStore>, writer: usize, rounds: usize) -> Vec<EventId> {
    let mut acknowledged = Vec::new();
    let mut versions = [0, 0];
    for round in 0..rounds {
        let shared = round % 2;
        let name = if shared == 1 { stream("shared") } else { stream(&format!("task-{writer}")) };
        let new = events(1 + (writer + round) % 3);
        let ids: Vec<EventId> = new.iter().map(|event| event.id).collect();
        loop {
            match store.append(&name, versions[shared], new.clone()).await {
                Ok(appended) => {
                    assert_eq!(appended.version, versions[shared] + new.len() as u64);
                    versions[shared] = appended.version;
                    break;
                }
                Err(StoreError::Conflict { actual, .. }) => {
                    assert!(shared == 1, "nobody else writes to {name}");
                    assert!(actual > versions[shared], "a conflict over nothing");
                    versions[shared] = actual;
                }
                Err(error) => panic!("{error}"),
            }
        }
        acknowledged.extend(ids);
    }
    acknowledged
}

fn spawn_writers(stores: &[Arc<dyn EventStore>], rounds: usize) -> JoinSet<Vec<EventId>> {
    (0..WRITERS).map(|writer| write(Arc::clone(&stores[writer % stores.len()]), writer, rounds)).collect()
}

async fn acknowledged(writers: JoinSet<Vec<EventId>>) -> Vec<EventId> {
    writers.join_all().await.concat()
}

pub(crate) async fn many_writers_on_one_stream(log: &impl TestLog) {
    let store = log.store().await;
    let writers: JoinSet<Vec<u64>> = (0..WRITERS)
        .map(|_| {
            let store = Arc::clone(&store);
            async move {
                let (mut version, mut own) = (0, Vec::new());
                while own.len() < 20 {
                    match store.append(&stream("task-1"), version, events(1)).await {
                        Ok(appended) => {
                            assert_eq!(appended.version, version + 1);
                            version += 1;
                            own.push(version);
                        }
                        Err(StoreError::Conflict { actual, .. }) => {
                            assert!(actual > version);
                            version = actual;
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
                own
            }
        })
        .collect();
    let mut versions = writers.join_all().await.concat();
    versions.sort_unstable();
    assert_eq!(versions, (1..=20 * WRITERS as u64).collect::<Vec<_>>());
    let read = whole_stream(&*store, "task-1").await;
    assert_eq!(read.len(), versions.len());
    assert_in_order(&read, log.dense());
}

pub(crate) async fn writers_and_a_subscriber(log: &impl TestLog) {
    let store = log.store().await;
    let mut subscription = store.subscribe(0);
    let writers = spawn_writers(&[store], 40);
    let total = total(40);
    let tailed = take(&mut subscription, total).await;
    assert_in_order(&tailed, log.dense());
    assert_exactly(&tailed, acknowledged(writers).await);
}

pub(crate) async fn writers_and_a_poller(log: &impl TestLog) {
    let store = log.store().await;
    let done = Arc::new(AtomicBool::new(false));
    let poller = tokio::spawn({
        let (store, done) = (Arc::clone(&store), Arc::clone(&done));
        async move {
            let mut seen: Vec<RecordedEvent> = Vec::new();
            loop {
                let last_time = done.load(Ordering::Acquire);
                let after = seen.last().map_or(0, |event| event.position);
                let page = read_all(&*store, after, 100).await;
                if page.is_empty() && last_time {
                    return seen;
                }
                seen.extend(page);
                tokio::task::yield_now().await;
            }
        }
    });
    let acknowledged = acknowledged(spawn_writers(&[store], 40)).await;
    done.store(true, Ordering::Release);
    let polled = poller.await.unwrap();
    assert_in_order(&polled, log.dense());
    assert_exactly(&polled, acknowledged);
}

pub(crate) async fn two_instances(log: &impl TestLog) {
    let stores = [log.store().await, log.store().await];
    let mut subscriptions = [stores[0].subscribe(0), stores[1].subscribe(0)];
    let writers = spawn_writers(&stores, 30);
    let tailed = [
        take(&mut subscriptions[0], total(30)).await,
        take(&mut subscriptions[1], total(30)).await,
        whole_log(&*stores[0]).await,
    ];
    let acknowledged = acknowledged(writers).await;
    for tailed in tailed {
        assert_in_order(&tailed, log.dense());
        assert_exactly(&tailed, acknowledged.iter().copied());
    }
}

/// The number of events that all writers append in this many rounds.
fn total(rounds: usize) -> usize {
    (0..WRITERS).flat_map(|writer| (0..rounds).map(move |round| 1 + (writer + round) % 3)).sum()
}
