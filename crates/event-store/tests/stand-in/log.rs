//! The stand-in's log. Positions are as in a file: they grow by what a record takes, and records of the system are
//! in between.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
};

use bytes::Bytes;
use tokio::sync::watch;
use uuid::Uuid;

/// As the real server's.
const MAX_APPEND_BYTES: usize = 1 << 20;

#[derive(Clone)]
pub(super) struct Proposed {
    pub(super) id: Uuid,
    pub(super) metadata: HashMap<String, String>,
    pub(super) custom_metadata: Bytes,
    pub(super) data: Bytes,
}

#[derive(Clone)]
pub(super) struct Record {
    pub(super) position: u64,
    pub(super) stream: String,
    pub(super) revision: u64,
    pub(super) event: Proposed,
}

/// What an append may expect: the last revision, -1 in an empty stream, or anything.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Expected {
    Any,
    Revision(i64),
}

pub(super) enum Refused {
    /// The last revision, -1 in an empty stream.
    WrongVersion(i64),
    TooLarge,
}

#[derive(Default)]
struct Records {
    all: Vec<Record>,
    streams: HashMap<String, Vec<usize>>,
    end: u64,
    appends: u64,
}

#[derive(Default)]
pub(super) struct Log {
    records: Mutex<Records>,
    length: watch::Sender<usize>,
}

impl Log {
    fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().expect("no panic under the lock")
    }

    /// Says when there is more.
    pub(super) fn length(&self) -> watch::Receiver<usize> {
        self.length.subscribe()
    }

    /// The last revision and position of the events. Appended again with the same ids they are left as they are.
    pub(super) fn append(
        &self,
        stream: &str,
        expected: Expected,
        events: &[Proposed],
    ) -> Result<(u64, u64), Refused> {
        let size = |event: &Proposed| {
            event.data.len() + event.custom_metadata.len() + 2 * event.metadata["type"].len()
        };
        if events.iter().map(size).sum::<usize>() > MAX_APPEND_BYTES {
            return Err(Refused::TooLarge);
        }
        let mut records = self.records();
        let here = records.streams.get(stream).cloned().unwrap_or_default();
        let current = here.len() as i64 - 1;
        if let Expected::Revision(expected) = expected
            && expected != current
        {
            let first = usize::try_from(expected + 1).unwrap_or(usize::MAX);
            let there: Vec<&Record> = here
                .iter()
                .skip(first)
                .take(events.len())
                .map(|&index| &records.all[index])
                .collect();
            let is_again = there.len() == events.len()
                && there
                    .iter()
                    .zip(events)
                    .all(|(record, event)| record.event.id == event.id);
            return match there.last() {
                Some(last) if is_again => Ok((last.revision, last.position)),
                _ => Err(Refused::WrongVersion(current)),
            };
        }
        records.appends += 1;
        if records.appends % 3 == 1 {
            let statistics = Proposed {
                id: Uuid::now_v7(),
                metadata: HashMap::from([("type".to_owned(), "$statsCollected".to_owned())]),
                custom_metadata: Bytes::new(),
                data: Bytes::from_static(b"{}"),
            };
            records.push("$stats-127.0.0.1:2113", statistics);
        }
        let mut end = (0, 0);
        for event in events {
            end = records.push(stream, event.clone());
        }
        let length = records.all.len();
        drop(records);
        self.length.send_replace(length);
        Ok(end)
    }

    /// A stream from a revision on; nothing if there is no such stream.
    pub(super) fn stream(&self, stream: &str, from: u64, count: usize) -> Option<Vec<Record>> {
        let records = self.records();
        let here = records.streams.get(stream)?;
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        Some(
            here.iter()
                .skip(from)
                .take(count)
                .map(|&index| records.all[index].clone())
                .collect(),
        )
    }

    /// A stream from its end; nothing if there is no such stream.
    pub(super) fn stream_backwards(&self, stream: &str, count: usize) -> Option<Vec<Record>> {
        let records = self.records();
        let here = records.streams.get(stream)?.iter().rev();
        Some(
            here.take(count)
                .map(|&index| records.all[index].clone())
                .collect(),
        )
    }

    /// The log from the record at `position` on, as many as `keep` lets through. Where a record does not begin,
    /// nothing can be read.
    pub(super) fn all(
        &self,
        position: u64,
        count: usize,
        keep: impl Fn(&Record) -> bool,
    ) -> Result<Vec<Record>, String> {
        let records = self.records();
        let from = records.all.partition_point(|record| record.position < position);
        match records.all.get(from) {
            Some(record) if position > 0 && record.position != position => {
                Err(format!("no record begins at {position}"))
            }
            _ => Ok(records.all[from..]
                .iter()
                .filter(|record| keep(record))
                .take(count)
                .cloned()
                .collect()),
        }
    }

    /// The log from its end.
    pub(super) fn backwards(&self, count: usize, keep: impl Fn(&Record) -> bool) -> Vec<Record> {
        let records = self.records();
        records
            .all
            .iter()
            .rev()
            .filter(|record| keep(record))
            .take(count)
            .cloned()
            .collect()
    }
}

impl Records {
    fn push(&mut self, stream: &str, event: Proposed) -> (u64, u64) {
        let position = self.end + 1_031;
        self.end = position + event.data.len() as u64;
        let index = self.all.len();
        let here = self.streams.entry(stream.to_owned()).or_default();
        let revision = here.len() as u64;
        here.push(index);
        self.all.push(Record {
            position,
            stream: stream.to_owned(),
            revision,
            event,
        });
        (revision, position)
    }
}
