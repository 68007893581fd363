//! Following the log: from a given position, and without delay.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use events::EventId;

use super::{TestLog, assert_exactly, assert_in_order, event, events, stream, take, whole_log};

/// A subscriber that continues from its last position misses nothing, while others write.
pub(crate) async fn subscription_resumes(log: &impl TestLog) {
    let store = log.store().await;
    let writer = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            let mut ids: Vec<EventId> = Vec::new();
            for version in 0..300 {
                let new = event("{}");
                ids.push(new.id);
                store.append(&stream("task-1"), version, vec![new]).await.unwrap();
            }
            ids
        }
    });
    let mut seen = Vec::new();
    while seen.len() < 300 {
        let after = seen.last().map_or(0, |event: &events::RecordedEvent| event.position);
        seen.extend(take(&mut store.subscribe(after), 1).await);
    }
    assert_in_order(&seen, log.dense());
    assert_exactly(&seen, writer.await.unwrap());
    assert_eq!(take(&mut store.subscribe(seen[122].position), 177).await, seen[123..]);
}

pub(crate) async fn subscription_from_the_head(log: &impl TestLog) {
    let store = log.store().await;
    let before = store.append(&stream("task-1"), 0, events(5)).await.unwrap();
    let mut subscription = store.subscribe(before.position);
    let new = event("{}");
    store.append(&stream("task-1"), 5, vec![new.clone()]).await.unwrap();
    let seen = take(&mut subscription, 1).await;
    assert_exactly(&seen, [new.id]);
    assert_eq!(seen[0].version, 6);
}

pub(crate) async fn subscription_outlives_the_store(log: &impl TestLog) {
    let store = log.store().await;
    store.append(&stream("task-1"), 0, events(2)).await.unwrap();
    let mut subscription = store.subscribe(0);
    drop(store);
    assert_eq!(take(&mut subscription, 2).await.len(), 2);
    let other = log.store().await;
    other.append(&stream("task-1"), 2, events(1)).await.unwrap();
    assert_eq!(take(&mut subscription, 1).await, whole_log(&*other).await[2..]);
}

/// In the appending instance and in another one, new events arrive much sooner than by a read once a second.
pub(crate) async fn subscription_wakes_at_once(log: &impl TestLog) {
    let (here, there) = (log.store().await, log.store().await);
    let (mut at_home, mut abroad) = (here.subscribe(0), there.subscribe(0));
    let (mut home_delays, mut abroad_delays) = (Vec::new(), Vec::new());
    for version in 0..11 {
        let start = Instant::now();
        here.append(&stream("task-1"), version, events(1)).await.unwrap();
        take(&mut at_home, 1).await;
        home_delays.push(start.elapsed());
        take(&mut abroad, 1).await;
        abroad_delays.push(start.elapsed());
    }
    home_delays.sort();
    abroad_delays.sort();
    assert!(home_delays[5] < Duration::from_millis(700), "{home_delays:?}");
    assert!(abroad_delays[5] < Duration::from_millis(700), "{abroad_delays:?}");
}
