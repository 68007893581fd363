//! The stand-in's log. Positions are as in a file: they grow by the size of a record, and there are records of the
//! system in between. A record is written first and indexed a little later; before that it cannot be read.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;
use uuid::Uuid;

use crate::Behaviour;

#[derive(Clone)]
pub(crate) struct Proposed {
    pub(crate) id: Uuid,
    pub(crate) metadata: HashMap<String, String>,
    pub(crate) custom_metadata: Bytes,
    pub(crate) data: Bytes,
}

impl Proposed {
    pub(crate) fn new(kind: &str, data: Bytes, custom_metadata: Bytes) -> Self {
        Self {
            id: Uuid::new_v4(),
            metadata: HashMap::from([
                ("type".to_owned(), kind.to_owned()),
                ("content-type".to_owned(), "application/octet-stream".to_owned()),
            ]),
            custom_metadata,
            data,
        }
    }

    fn kind(&self) -> &str {
        self.metadata.get("type").map_or("", String::as_str)
    }

    fn size(&self) -> usize {
        self.data.len() + self.custom_metadata.len() + 2 * self.kind().len()
    }
}

pub(crate) struct Record {
    pub(crate) position: u64,
    pub(crate) stream: String,
    pub(crate) revision: u64,
    pub(crate) event: Proposed,
    indexed_at: Instant,
}

/// The expected version of an append: the last revision, -1 in an empty stream, or any.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Expected {
    Any,
    Revision(i64),
}

/// The result of an append.
pub(crate) enum Outcome {
    /// It was written, and is answered at `indexed_at`.
    Written {
        revision: u64,
        position: u64,
        indexed_at: Instant,
    },
    /// It was written and indexed before.
    There {
        revision: u64,
        position: u64,
    },
    /// It was written before and is not indexed yet: the server drops the request silently.
    NotIndexed,
    /// The last revision, -1 in an empty stream.
    WrongVersion(i64),
    TooLarge,
    /// The stream was deleted.
    Deleted,
}

/// The result of a read of a stream.
pub(crate) enum StreamRead {
    Records(Vec<Arc<Record>>),
    NotFound,
    Deleted,
}

#[derive(Default)]
struct Stream {
    records: Vec<Arc<Record>>,
    /// The first event that readers can see.
    first: u64,
    /// The last truncated revision. The next revisions continue from it.
    truncated: Option<u64>,
    deleted: bool,
}

impl Stream {
    fn last(&self) -> i64 {
        let last = self.records.last().map(|record| record.revision);
        last.or(self.truncated).map_or(-1, u64::cast_signed)
    }
}

#[derive(Default)]
struct Records {
    all: Vec<Arc<Record>>,
    streams: HashMap<String, Stream>,
    /// The positions of scavenged records: a read may begin there.
    scavenged: HashSet<u64>,
    end: u64,
    appends: u64,
    /// When the last flush that has begun or is planned will end.
    flushed_at: Option<Instant>,
}

pub(crate) struct Log {
    behaviour: Behaviour,
    records: Mutex<Records>,
    length: watch::Sender<u64>,
}

impl Log {
    pub(crate) fn new(behaviour: Behaviour) -> Self {
        Self { behaviour, records: Mutex::default(), length: watch::Sender::default() }
    }

    /// The length of the log, to be watched for more.
    pub(crate) fn length(&self) -> watch::Receiver<u64> {
        self.length.subscribe()
    }

    /// Wakes the subscribers.
    pub(crate) fn announce(&self) {
        self.length.send_modify(|count| *count += 1);
    }

    pub(crate) fn append(&self, name: &str, expected: Expected, events: &[Proposed]) -> Outcome {
        if events.iter().map(Proposed::size).sum::<usize>() > self.behaviour.max_append_bytes {
            return Outcome::TooLarge;
        }
        let now = Instant::now();
        let mut records = self.records.lock();
        let (current, deleted) =
            records.streams.get(name).map_or((-1, false), |stream| (stream.last(), stream.deleted));
        if deleted {
            return Outcome::Deleted;
        }
        if let Expected::Revision(expected) = expected
            && expected != current
        {
            return records.again(name, expected, current, events, now);
        }
        records.appends += 1;
        let indexed_at = records.indexed_at(now, &self.behaviour);
        if records.appends % 3 == 1 {
            let statistics = Proposed::new("$statsCollected", Bytes::from_static(b"{}"), Bytes::new());
            records.push("$stats-127.0.0.1:2113", statistics, indexed_at);
        }
        let (mut revision, mut position) = (0, 0);
        for event in events {
            (revision, position) = records.push(name, event.clone(), indexed_at);
        }
        Outcome::Written { revision, position, indexed_at }
    }

    /// Adds `count` events of another application, indexed at once.
    pub(crate) fn fill(&self, stream: &str, count: usize, event: &Proposed) {
        let now = Instant::now();
        let mut records = self.records.lock();
        let indexed_at = records.all.last().map_or(now, |last| last.indexed_at.max(now));
        for _ in 0..count {
            let event = Proposed { id: Uuid::new_v4(), ..event.clone() };
            records.push(stream, event, indexed_at);
        }
        drop(records);
        self.announce();
    }

    /// Reads a stream from a revision on.
    pub(crate) fn stream(&self, name: &str, from: u64, count: usize) -> StreamRead {
        self.read_stream(name, |records| {
            let from = records.partition_point(|record| record.revision < from);
            records[from..].iter().take(count).cloned().collect()
        })
    }

    /// Reads a stream from its end.
    pub(crate) fn stream_backwards(&self, name: &str, count: usize) -> StreamRead {
        self.read_stream(name, |records| records.iter().rev().take(count).cloned().collect())
    }

    fn read_stream(&self, name: &str, read: impl Fn(&[Arc<Record>]) -> Vec<Arc<Record>>) -> StreamRead {
        let (records, now) = (self.records.lock(), Instant::now());
        let Some(stream) = records.streams.get(name) else {
            return StreamRead::NotFound;
        };
        if stream.deleted {
            return StreamRead::Deleted;
        }
        let begin = stream.records.partition_point(|record| record.revision < stream.first);
        let end = indexed(&stream.records, now);
        match stream.records.get(begin..end) {
            Some(visible) if end > 0 || stream.truncated.is_some() => StreamRead::Records(read(visible)),
            _ => StreamRead::NotFound,
        }
    }

    /// Up to `count` records from the one at `position` on. Fails where no record begins.
    pub(crate) fn forwards(&self, position: u64, count: usize) -> Result<Vec<Arc<Record>>, &'static str> {
        let records = self.records.lock();
        let all = &records.all[..indexed(&records.all, Instant::now())];
        let from = all.partition_point(|record| record.position < position);
        let is_record = position == 0
            || records.scavenged.contains(&position)
            || all.get(from).is_none_or(|record| record.position == position);
        if !is_record {
            return Err(if self.behaviour.names_invalid_positions {
                "Unexpected ReadAllResult: InvalidPosition"
            } else {
                "Unexpected ReadAllResult: Error"
            });
        }
        Ok(all[from..].iter().take(count).cloned().collect())
    }

    /// Up to `count` records before `position`, or before the end, the last first.
    pub(crate) fn backwards(&self, position: Option<u64>, count: usize) -> Vec<Arc<Record>> {
        let records = self.records.lock();
        let all = &records.all[..indexed(&records.all, Instant::now())];
        let before =
            position.map_or(all.len(), |position| all.partition_point(|record| record.position < position));
        all[..before].iter().rev().take(count).cloned().collect()
    }

    pub(crate) fn lose_tail(&self, count: usize) {
        let mut records = self.records.lock();
        for _ in 0..count {
            let Some(lost) = records.all.pop() else { break };
            records.end = records.all.last().map_or(0, |last| last.end());
            if let Some(stream) = records.streams.get_mut(&lost.stream) {
                stream.records.pop();
            }
        }
    }

    pub(crate) fn truncate_stream(&self, name: &str, first: u64) {
        let mut records = self.records.lock();
        let Some(stream) = records.streams.get_mut(name) else {
            return;
        };
        stream.first = first;
        let gone: HashSet<u64> = stream
            .records
            .iter()
            .filter(|record| record.revision < first)
            .map(|record| record.position)
            .collect();
        stream.truncated = first.checked_sub(1).map(|last| last.min(stream.last().cast_unsigned()));
        stream.records.retain(|record| record.revision >= first);
        records.all.retain(|record| !gone.contains(&record.position));
        records.scavenged.extend(gone);
    }

    pub(crate) fn tombstone(&self, name: &str) {
        let mut records = self.records.lock();
        records.streams.entry(name.to_owned()).or_default().deleted = true;
    }

    pub(crate) fn forget(&self) {
        *self.records.lock() = Records::default();
    }
}

impl Record {
    fn end(&self) -> u64 {
        self.position + self.event.size() as u64
    }
}

/// The number of indexed `records`.
fn indexed(records: &[Arc<Record>], now: Instant) -> usize {
    records.partition_point(|record| record.indexed_at <= now)
}

impl Records {
    /// The result for an append with a wrong version, which may have been done before.
    fn again(&self, name: &str, expected: i64, current: i64, events: &[Proposed], now: Instant) -> Outcome {
        let there: Vec<&Arc<Record>> = self
            .streams
            .get(name)
            .into_iter()
            .flat_map(|stream| &stream.records)
            .filter(|record| record.revision as i64 > expected)
            .take(events.len())
            .collect();
        let is_again = there.len() == events.len()
            && there.iter().zip(events).all(|(record, event)| record.event.id == event.id);
        match there.last() {
            Some(last) if is_again && last.indexed_at <= now => {
                Outcome::There { revision: last.revision, position: last.position }
            }
            Some(_) if is_again => Outcome::NotIndexed,
            _ => Outcome::WrongVersion(current),
        }
    }

    /// When an append that arrives now will be on disk and indexed. One flush takes everything that arrived during
    /// the one before it; the index follows in the order of the log.
    fn indexed_at(&mut self, now: Instant, behaviour: &Behaviour) -> Instant {
        let flushed_at = match self.flushed_at {
            Some(last) if last > now + behaviour.disk => last,
            Some(last) if last > now => last + behaviour.disk,
            _ => now + behaviour.disk,
        };
        self.flushed_at = Some(flushed_at);
        let indexing = behaviour.longest_indexing.mul_f64(rand::random());
        let before = self.all.last().map_or(now, |last| last.indexed_at);
        before.max(flushed_at + indexing)
    }

    fn push(&mut self, name: &str, event: Proposed, indexed_at: Instant) -> (u64, u64) {
        let position = self.end + 1_031;
        let stream = self.streams.entry(name.to_owned()).or_default();
        let revision = (stream.last() + 1).cast_unsigned();
        let record = Arc::new(Record { position, stream: name.to_owned(), revision, event, indexed_at });
        stream.records.push(Arc::clone(&record));
        self.end = record.end();
        self.all.push(record);
        (revision, position)
    }
}

/// How long until `at`.
pub(crate) fn until(at: Instant) -> Duration {
    at.saturating_duration_since(Instant::now())
}
