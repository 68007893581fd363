//! Decides from the log which events belong to streams that ended long ago. Streams are read a few at a time and the
//! cache of answers is bounded, so that memory does not grow with the log.

use std::{
    collections::{BTreeSet, HashMap},
    ops::ControlFlow,
};

use ::events::{AccountErased, ClosedStream, Closing, Droppable, StreamName, Timestamp, UserId};
use database::Database;
use event_store::{EventStore, StoreError, for_each_entry};
use futures::{StreamExt as _, TryStreamExt as _, stream};

/// Maximum number of cached answers of about 100 bytes each.
const MAX_REMEMBERED: usize = 50_000;
/// Number of streams that are read concurrently.
const AT_ONCE: usize = 8;

/// Whether the payload of an event may be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DropDecision {
    /// The payload is still needed.
    Stays,
    /// It may be dropped once the parked events of its stream are projected or discarded, and all events can be read.
    Waits,
    /// It may be dropped. `is_whole_stream` says whether every payload of its stream may be.
    Goes { is_whole_stream: bool },
}

impl DropDecision {
    fn of(version: i64, closing: Closing, is_parked: bool) -> Self {
        let Closing::Closed(Droppable { up_to, is_whole_stream }) = closing else {
            return match closing {
                Closing::Unknown => Self::Waits,
                _ => Self::Stays,
            };
        };
        match u64::try_from(version) {
            Ok(version) if version <= up_to && is_parked => Self::Waits,
            Ok(version) if version <= up_to => Self::Goes { is_whole_stream },
            _ => Self::Stays,
        }
    }
}

/// Finds the streams that ended before a given time.
pub(super) struct Ended<'a> {
    opened: &'a dyn EventStore,
    read_models: &'a Database,
    pub(super) before: Timestamp,
    /// What is known of streams and people. When more are asked for than are remembered, all of it is forgotten.
    closings: HashMap<StreamName, Closing>,
    erased: HashMap<UserId, bool>,
    most: usize,
}

impl<'a> Ended<'a> {
    pub(super) fn before(before: Timestamp, opened: &'a dyn EventStore, read_models: &'a Database) -> Self {
        Self {
            opened,
            read_models,
            before,
            closings: HashMap::new(),
            erased: HashMap::new(),
            most: MAX_REMEMBERED,
        }
    }

    /// Decides about the payloads of these events, given as stream and version.
    pub(super) async fn decisions(&mut self, events: &[(&str, i64)]) -> anyhow::Result<Vec<DropDecision>> {
        let streams: BTreeSet<StreamName> =
            events.iter().map(|(stream, _)| StreamName::raw(*stream)).collect();
        self.look_at(&streams).await?;
        let closing = |stream: &StreamName| self.closings.get(stream).copied().unwrap_or(Closing::Open);
        let is_closed = |stream: &&StreamName| matches!(closing(stream), Closing::Closed(_));
        let closed: Vec<&StreamName> = streams.iter().filter(is_closed).collect();
        // This is never cached, since a stream with parked events is still needed.
        let parked = projector::parked_among(self.read_models, &closed).await?;
        let decision = |(stream, version): &(&str, i64)| {
            let stream = StreamName::raw(*stream);
            DropDecision::of(*version, closing(&stream), parked.contains(&stream))
        };
        Ok(events.iter().map(decision).collect())
    }

    /// Finds out which of these streams have ended, as far as that is not known yet.
    async fn look_at(&mut self, streams: &BTreeSet<StreamName>) -> Result<(), StoreError> {
        if self.closings.len() + streams.len() > self.most {
            self.closings.clear();
        }
        let is_unknown = |stream: &&StreamName| !self.closings.contains_key(*stream);
        let unknown: Vec<&StreamName> = streams.iter().filter(is_unknown).collect();
        // All answers are collected before the next question is asked, since a pending question keeps its connection.
        let (opened, before) = (self.opened, self.before);
        let read: Vec<(&StreamName, Option<ClosedStream>)> = stream::iter(unknown)
            .map(|stream| async move { Ok::<_, StoreError>((stream, read(opened, before, stream).await?)) })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let people = read.iter().filter_map(|(_, closed)| person(closed.as_ref()));
        self.look_for_erasures(people.collect()).await?;
        for (stream, closed) in read {
            let is_erased = |person: UserId| self.erased.get(&person).is_some_and(|is_erased| *is_erased);
            let person_is_erased = person(closed.as_ref()).is_some_and(is_erased);
            let closing = closed.map_or(Closing::Open, |closed| closed.finish(person_is_erased));
            self.closings.insert(stream.clone(), closing);
        }
        Ok(())
    }

    /// Finds out which of these people were erased before that time, as far as that is not known yet.
    async fn look_for_erasures(&mut self, people: BTreeSet<UserId>) -> Result<(), StoreError> {
        if self.erased.len() + people.len() > self.most {
            self.erased.clear();
        }
        let is_unknown = |person: &UserId| !self.erased.contains_key(person);
        let unknown: Vec<UserId> = people.into_iter().filter(is_unknown).collect();
        let (opened, before) = (self.opened, self.before);
        let read: Vec<(UserId, bool)> =
            stream::iter(unknown)
                .map(|person| async move {
                    Ok::<_, StoreError>((person, is_erased(opened, before, person).await?))
                })
                .buffered(AT_ONCE)
                .try_collect()
                .await?;
        self.erased.extend(read);
        Ok(())
    }
}

/// The person whose erasure ends this stream.
fn person(closed: Option<&ClosedStream>) -> Option<UserId> {
    closed.filter(|closed| !closed.is_open_for_sure()).and_then(ClosedStream::ends_with)
}

/// Reads as much of a stream as is needed to know whether it has ended. `None` if streams of its kind never end.
async fn read(
    opened: &dyn EventStore,
    before: Timestamp,
    stream: &StreamName,
) -> Result<Option<ClosedStream>, StoreError> {
    let Some(mut closed) = ClosedStream::before(before, stream) else {
        return Ok(None);
    };
    for_each_entry(opened, stream, 0, |entry| {
        match entry {
            Ok(event) => closed.push(&event),
            Err(_) => closed.push_unreadable(),
        }
        Ok::<_, StoreError>(match closed.is_open_for_sure() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })
    })
    .await?;
    Ok(Some(closed))
}

/// Returns whether a person was erased before that time. Erasure is the last event of their account.
async fn is_erased(opened: &dyn EventStore, before: Timestamp, person: UserId) -> Result<bool, StoreError> {
    let account = StreamName::account(person);
    let Some(head) = opened.stream_head(&account).await? else {
        return Ok(false);
    };
    let last = opened.stream_page(&account, head.version - 1, 1).await?;
    let is_erasure =
        |event: &::events::RecordedEvent| AccountErased::has_kind(&event.kind) && event.recorded_at < before;
    Ok(last.entries.iter().flatten().any(is_erasure))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ::events::{EndReason, SessionEnded, SessionId, TaskId};
    use database::Schema;
    use event_store::SqlStore;
    use runtime::new_id;
    use test_support::event;

    use super::*;

    #[tokio::test]
    async fn however_many_streams_are_asked_few_answers_are_kept_and_all_are_right() {
        let directory = tempfile::tempdir().unwrap();
        let open = async |name: &str, schema| {
            let url = Database::file_url(&directory.path().join(name));
            Database::open(&url, schema, 2).await.unwrap()
        };
        let store: Arc<dyn EventStore> = Arc::new(SqlStore::new(open("events.db", Schema::EventStore).await));
        let read_models = open("read-models.db", Schema::ReadModels).await;
        let mut names = Vec::new();
        for number in 0..100 {
            let person = UserId(new_id());
            let (stream, of_stream) = match number % 2 {
                0 => {
                    let reason = EndReason::Logout;
                    let ended = serde_json::to_string(&SessionEnded { reason }).unwrap();
                    let ended = event(person, "session.ended", &ended);
                    (StreamName::session(SessionId(new_id())), ended)
                }
                _ => {
                    let deleted = event(person, "task.deleted", "{}");
                    (StreamName::task(TaskId(new_id())), deleted)
                }
            };
            store.append(&stream, 0, vec![of_stream]).await.unwrap();
            names.push(stream);
        }
        let mut ended = Ended::before(Timestamp::MAX, &*store, &read_models);
        ended.most = 40;
        for _ in 0..2 {
            for some in names.chunks(30) {
                let asked: Vec<(&str, i64)> = some.iter().map(|name| (name.as_str(), 1)).collect();
                let decisions = ended.decisions(&asked).await.unwrap();
                for ((stream, _), decision) in asked.iter().zip(decisions) {
                    let goes = DropDecision::Goes { is_whole_stream: true };
                    let expected = if stream.starts_with("session") { goes } else { DropDecision::Stays };
                    assert_eq!(decision, expected, "{stream}");
                }
                assert!(ended.closings.len() <= 40 && ended.erased.len() <= 40);
            }
        }
    }
}
