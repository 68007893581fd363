//! Reads a stream on from where a state of it ends.

use std::ops::ControlFlow;

use event_store::{Entry, EventStore, StoreError, StreamHead, for_each_entry};
use events::{RecordedEvent, StreamName};

/// Gives each event of `stream` after `end` to `each`, if the event at `end` is still the one that it was. Returns whether it
/// is: if not, the log was restored or replaced since, and `each` has seen nothing. `read` makes events of what the store has.
///
/// # Errors
/// When the stream cannot be read; those of `read` and `each`.
pub async fn read_on<E: From<StoreError>>(
    store: &dyn EventStore,
    stream: &StreamName,
    end: StreamHead,
    read: impl Fn(Entry) -> Result<RecordedEvent, StoreError> + Send + Sync,
    mut each: impl FnMut(&RecordedEvent) -> Result<(), E> + Send,
) -> Result<bool, E> {
    let mut is_of_this_log = false;
    for_each_entry(store, stream, end.version.saturating_sub(1), |entry| {
        let event = read(entry)?;
        if is_of_this_log {
            each(&event)?;
        } else if event.id == end.id {
            is_of_this_log = true;
        } else {
            return Ok(ControlFlow::Break(()));
        }
        Ok::<_, E>(ControlFlow::Continue(()))
    })
    .await?;
    Ok(is_of_this_log)
}
