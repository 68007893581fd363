//! Parks an event.

use std::time::Duration;

use events::{EventId, NewEvent, StreamName};

use super::{System, until};

/// Appends an event of an unknown newer version to `stream`, which has one event, and waits until it is parked.
/// Returns its position.
pub(crate) async fn park_a_later_event(system: &System, stream: &str) -> u64 {
    let name = StreamName::raw(stream);
    let store = system.open_log().await;
    let first = store.read_stream(&name, 0, 1).await.unwrap().remove(0);
    let later = NewEvent {
        id: EventId(uuid::Uuid::new_v4()),
        kind: "task.teleported".to_owned(),
        schema_version: 1,
        encoding: first.encoding,
        data: first.data,
        metadata: first.metadata,
        recorded_at: first.recorded_at,
    };
    let appended = store.append(&name, 1, vec![later]).await.unwrap();
    let database = system.read_models().await;
    until("the event is parked", Duration::from_secs(30), async || {
        !projector::parked(&database, 0).await.unwrap().is_empty()
    })
    .await;
    appended.position
}
