//! Which events belong to what ended long ago, as the log says. One stream after the other is asked, so that memory does not grow
//! with the log.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    ops::ControlFlow,
};

use ::events::{AccountErased, ClosedStream, Closing, Droppable, StreamName, Timestamp, UserId};
use database::{Database, DatabaseError};
use event_store::{EventStore, StoreError, for_each_entry};

/// The most answers that are remembered, some 100 bytes each.
const MOST_REMEMBERED: usize = 50_000;

/// What may become of the payload of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is needed.
    Stays,
    /// It may be dropped once the events of its stream that are parked are projected or given up, and all can be read.
    Waits,
    /// It may be dropped. Whether nothing of its stream is left then.
    Goes { is_whole_stream: bool },
}

/// Tells what ended before some time.
pub(super) struct Ended<'a> {
    opened: &'a dyn EventStore,
    pub(super) before: Timestamp,
    /// Streams with parked events are still needed. There are few, since somebody has to look at each.
    parked: HashSet<StreamName>,
    closings: HashMap<StreamName, Closing>,
    erased: HashMap<UserId, bool>,
}

impl<'a> Ended<'a> {
    pub(super) async fn before(
        before: Timestamp,
        opened: &'a dyn EventStore,
        read_models: &Database,
    ) -> Result<Self, DatabaseError> {
        let parked = projector::parked(read_models).await?;
        Ok(Self {
            opened,
            before,
            parked: parked.into_iter().map(|event| event.stream).collect(),
            closings: HashMap::new(),
            erased: HashMap::new(),
        })
    }

    /// What may become of the payload of this version of `stream`.
    pub(super) async fn fate(&mut self, stream: &str, version: i64) -> Result<Fate, StoreError> {
        let stream = StreamName::raw(stream);
        Ok(match self.closing(&stream).await? {
            Closing::Open => Fate::Stays,
            Closing::Unknown => Fate::Waits,
            Closing::Closed(Droppable { up_to, .. })
                if !u64::try_from(version).is_ok_and(|it| it <= up_to) =>
            {
                Fate::Stays
            }
            Closing::Closed(_) if self.parked.contains(&stream) => Fate::Waits,
            Closing::Closed(Droppable { is_whole_stream, .. }) => Fate::Goes { is_whole_stream },
        })
    }

    async fn closing(&mut self, stream: &StreamName) -> Result<Closing, StoreError> {
        if let Some(known) = self.closings.get(stream) {
            return Ok(*known);
        }
        let closing = self.ask(stream).await?;
        remember(&mut self.closings, stream.clone(), closing);
        Ok(closing)
    }

    async fn ask(&mut self, stream: &StreamName) -> Result<Closing, StoreError> {
        let Some(mut closed) = ClosedStream::before(self.before, stream) else {
            return Ok(Closing::Open);
        };
        for_each_entry(self.opened, stream, 0, |entry| {
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
        let person_is_erased = match closed.ends_with() {
            Some(person) if !closed.is_open_for_sure() => self.is_erased(person).await?,
            _ => false,
        };
        Ok(closed.finish(person_is_erased))
    }

    /// Whether a person was erased before that time, which is the last event of their account.
    async fn is_erased(&mut self, person: UserId) -> Result<bool, StoreError> {
        if let Some(known) = self.erased.get(&person) {
            return Ok(*known);
        }
        let account = StreamName::account(person);
        let last = match self.opened.stream_head(&account).await? {
            Some(head) => self.opened.stream_page(&account, head.version - 1, 1).await?,
            None => return Ok(false),
        };
        let is_erasure = last
            .entries
            .iter()
            .flatten()
            .any(|event| AccountErased::has_kind(&event.kind) && event.recorded_at < self.before);
        remember(&mut self.erased, person, is_erasure);
        Ok(is_erasure)
    }
}

/// Keeps an answer; when there are too many, all others are asked for again.
fn remember<Asked: Eq + Hash, Answer>(answers: &mut HashMap<Asked, Answer>, asked: Asked, answer: Answer) {
    if answers.len() >= MOST_REMEMBERED {
        answers.clear();
    }
    answers.insert(asked, answer);
}
