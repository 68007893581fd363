//! Reads the log of a test.

use event_store::EventStore;
use events::RecordedEvent;

/// Up to `limit` events of the log with a position above `after`, in order. Each of them must be readable.
pub async fn read_all(store: &dyn EventStore, after: u64, limit: usize) -> Vec<RecordedEvent> {
    let mut events: Vec<RecordedEvent> = Vec::new();
    loop {
        let after = events.last().map_or(after, |event| event.position);
        let page = store.log_page(after, limit - events.len()).await.unwrap();
        let more = page.more;
        events.extend(page.readable().unwrap());
        if !more || events.len() >= limit {
            return events;
        }
    }
}
