//! Imports events of another log. Consecutive events of one stream are one append. The appends follow one after
//! another, so that the order of the log is kept. The server assigns the positions.

use std::ops::Range;

use bytes::Bytes;
use events::{EventId, LogPoint, StoredEvent, StreamName};
use kurrentdb_protocol::event_store::client::streams::batch_append_req::ProposedMessage;

use super::{
    KurrentDbStore,
    failure::unavailable,
    record,
    writer::{Expected, NotWritten},
};
use crate::{ImportError, StoreError, UnfinishedImport, error::check_size, head_point, import};

/// The stream with the notes about imports, after the prefix. It is not part of the log.
const IMPORTS: &str = "taskledger.imports";

impl KurrentDbStore {
    /// Appends the events, run by run.
    pub(super) async fn import_events(
        &self,
        after: LogPoint,
        events: &[StoredEvent],
    ) -> Result<LogPoint, ImportError> {
        for event in events {
            self.check_imported(event)?;
        }
        let most = self.connection.settings.max_append_bytes;
        // What else belongs to an event takes less than its metadata.
        let runs = runs(events, most / 2)?;
        if head_point(self).await? != after {
            return Err(ImportError::MovedOn);
        }
        let mut end = after;
        for run in runs {
            let run = &events[run];
            let mut proposed = Vec::with_capacity(run.len());
            for event in run {
                let (id, event) = self.check_imported(event)?;
                proposed.push(event);
                end.id = Some(id);
            }
            let first = &run[0];
            let expected = u64::try_from(first.version - 1).unwrap_or_default();
            let stream = StreamName::raw(&*first.stream);
            match self.append_proposed(&stream, expected, proposed).await {
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

    /// Checks the server's requirements of an event, and encodes it. Returns its id, too.
    pub(super) fn check_imported(
        &self,
        event: &StoredEvent,
    ) -> Result<(EventId, ProposedMessage), ImportError> {
        let id = import::check(event)?;
        if event.stream.starts_with('$') || event.kind.starts_with('$') {
            let reason = "names of streams and events that begin with `$` are KurrentDB's own";
            return Err(ImportError::refused(event, reason));
        }
        let proposed = record::proposed_as_stored(id, event, self.connection.prefix())
            .ok_or_else(|| ImportError::refused(event, "its metadata is no JSON"))?;
        let most = self.connection.settings.max_append_bytes;
        if record::size(&proposed) > most {
            let reason = format!("it is larger than the {most} bytes that KurrentDB takes at once");
            return Err(ImportError::refused(event, reason));
        }
        Ok((EventId(id), proposed))
    }

    /// Records the beginning or the end of an import.
    pub(super) async fn append_import_note(
        &self,
        unfinished: Option<&UnfinishedImport>,
    ) -> Result<(), StoreError> {
        let name = self.connection.name(&StreamName::raw(IMPORTS));
        let data = serde_json::to_vec(&unfinished).map_err(StoreError::unavailable)?;
        let event = record::binary(runtime::new_id(), IMPORTS.to_owned(), data.into(), Bytes::new());
        match self.writer.append(&name, Expected::Any, vec![event]).await {
            Ok(written) => {
                self.conflicts.saw(name, written.revision.saturating_add(1));
                Ok(())
            }
            Err(NotWritten::Failed(failure)) => Err(unavailable(failure)),
            Err(NotWritten::Conflict(_) | NotWritten::TooLarge(_)) => {
                Err(StoreError::unavailable("KurrentDB has refused to note an import"))
            }
        }
    }

    /// The import that has begun and not ended.
    pub(super) async fn last_import_note(&self) -> Result<Option<UnfinishedImport>, StoreError> {
        let name = self.connection.name(&StreamName::raw(IMPORTS));
        match self.last_event(None, &name).await? {
            Some(event) => serde_json::from_slice(&event.data)
                .map_err(|error| StoreError::Corrupt(format!("what is noted of an import: {error}"))),
            None => Ok(None),
        }
    }
}

/// Splits the events into runs of one stream, each with no more bytes than one append may have.
fn runs(events: &[StoredEvent], most_bytes: usize) -> Result<Vec<Range<usize>>, StoreError> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (index, event) in events.iter().enumerate() {
        let size = check_size(event.data.size() + event.metadata.len())?;
        let follows = runs.last().is_some_and(|run| {
            let before = &events[run.end - 1];
            before.stream == event.stream && before.version + 1 == event.version
        });
        match runs.last_mut() {
            Some(run) if follows && bytes + size <= most_bytes => {
                run.end = index + 1;
                bytes += size;
            }
            _ => {
                runs.push(index..index + 1);
                bytes = size;
            }
        }
    }
    Ok(runs)
}
