//! Writes events of another log: each run of events that follow each other in one stream is an append, one after the other, so
//! that the order of the whole log stays. Positions are the server's.

use events::{EventId, LogPoint, StoredEvent, StreamName};

use super::{KurrentDbStore, record};
use crate::{ImportError, StoreError, head_point, import};

pub(super) async fn import(
    store: &KurrentDbStore,
    after: LogPoint,
    events: &[StoredEvent],
) -> Result<LogPoint, ImportError> {
    let prefix = store.connection.prefix();
    for event in events {
        import::check(event)?;
        if event.stream.starts_with('$') || event.kind.starts_with('$') {
            let reason = "names of streams and events that begin with `$` are KurrentDB's own";
            return Err(ImportError::refused(event, reason));
        }
    }
    let most = store.connection.settings.max_append_bytes;
    // What else belongs to an event takes less than its metadata.
    let runs = import::runs(events, most / 2)?;
    if head_point(store).await? != after {
        return Err(ImportError::MovedOn);
    }
    let mut end = after;
    for run in runs {
        let run = &events[run];
        let mut proposed = Vec::with_capacity(run.len());
        for event in run {
            let id = import::check(event)?;
            let event = record::proposed_as_stored(id, event, prefix)
                .ok_or_else(|| ImportError::refused(event, "its metadata is no JSON"))?;
            proposed.push(event);
            end.id = Some(EventId(id));
        }
        let first = &run[0];
        let expected = u64::try_from(first.version - 1).unwrap_or_default();
        let stream = StreamName::raw(&*first.stream);
        match store.append_proposed(&stream, expected, proposed).await {
            Ok(appended) => end.position = appended.position,
            Err(StoreError::Conflict { actual, .. }) => {
                let reason = format!("the stream is at version {actual}");
                return Err(ImportError::refused(first, reason));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(end)
}
