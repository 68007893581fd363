//! Between the protocol's messages and the log's records.

#![allow(clippy::result_large_err, reason = "a status is what tonic wants")]

use std::collections::HashMap;

use bytes::Bytes;
use tonic::Status;
use uuid::Uuid;

use super::{
    log::{Expected, Record},
    wire::event_store::client::{
        Empty, StreamIdentifier, Uuid as WireUuid,
        streams::{
            ReadResp,
            append_resp::{
                WrongExpectedVersion,
                wrong_expected_version::{
                    CurrentRevisionOption as Current, ExpectedRevisionOption as ExpectedOption,
                },
            },
            read_req::options::{AllOptions, FilterOption, all_options::AllOption, filter_options::Filter},
            read_resp::{
                self, ReadEvent,
                read_event::{self, RecordedEvent},
            },
        },
        uuid::Value,
    },
};

/// The position to start from, or nothing for the end.
pub(super) fn start(options: AllOptions) -> Result<Option<u64>, Status> {
    match options.all_option {
        Some(AllOption::Start(_)) => Ok(Some(0)),
        Some(AllOption::End(_)) => Ok(None),
        Some(AllOption::Position(position)) if position.commit_position == position.prepare_position => {
            let signed = i64::try_from(position.commit_position);
            signed.map_err(|_| Status::invalid_argument("position out of range"))?;
            Ok(Some(position.commit_position))
        }
        _ => Err(Status::invalid_argument("no position of a record")),
    }
}

pub(super) type Keep = Box<dyn Fn(&Record) -> bool + Send + Sync>;

/// By prefixes, or without the system's.
pub(super) fn filter(option: Option<FilterOption>) -> Result<Keep, Status> {
    match option {
        Some(FilterOption::Filter(options)) => match options.filter {
            Some(Filter::StreamIdentifier(names)) if names.regex == r"^[^\$].*" => {
                Ok(Box::new(|record| !record.stream.starts_with('$')))
            }
            Some(Filter::StreamIdentifier(names)) if names.regex.is_empty() => Ok(Box::new(move |record| {
                names
                    .prefix
                    .iter()
                    .any(|prefix| record.stream.starts_with(prefix.as_str()))
            })),
            _ => Err(Status::unimplemented("not in the stand-in")),
        },
        _ => Ok(Box::new(|_| true)),
    }
}

pub(super) fn bounded(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

pub(super) fn name(identifier: Option<StreamIdentifier>) -> Result<String, Status> {
    let identifier = identifier.ok_or_else(|| Status::invalid_argument("no stream"))?;
    match String::from_utf8(identifier.stream_name.to_vec()) {
        Ok(name) if !name.is_empty() => Ok(name),
        _ => Err(Status::invalid_argument("not a name")),
    }
}

pub(super) fn id(id: Option<WireUuid>) -> Result<Uuid, Status> {
    match id.and_then(|id| id.value) {
        Some(Value::String(text)) => text.parse().map_err(|_| Status::invalid_argument("not an id")),
        Some(Value::Structured(bits)) => Ok(Uuid::from_u64_pair(
            bits.most_significant_bits as u64,
            bits.least_significant_bits as u64,
        )),
        None => Err(Status::invalid_argument("no id")),
    }
}

pub(super) fn wrong_version(current: i64, expected: Expected) -> WrongExpectedVersion {
    WrongExpectedVersion {
        current_revision_option: Some(match u64::try_from(current) {
            Ok(revision) => Current::CurrentRevision(revision),
            Err(_) => Current::CurrentNoStream(Empty {}),
        }),
        expected_revision_option: Some(match expected {
            Expected::Any => ExpectedOption::ExpectedAny(Empty {}),
            Expected::Revision(revision) => match u64::try_from(revision) {
                Ok(revision) => ExpectedOption::ExpectedRevision(revision),
                Err(_) => ExpectedOption::ExpectedNoStream(Empty {}),
            },
        }),
        ..WrongExpectedVersion::default()
    }
}

pub(super) fn answer(content: read_resp::Content) -> ReadResp {
    ReadResp {
        content: Some(content),
    }
}

pub(super) fn event(record: Record) -> ReadResp {
    let mut metadata: HashMap<String, String> = record.event.metadata;
    metadata.insert("created".to_owned(), "17800000001234567".to_owned());
    let recorded = RecordedEvent {
        id: Some(WireUuid {
            value: Some(Value::String(record.event.id.to_string())),
        }),
        stream_identifier: Some(StreamIdentifier {
            stream_name: Bytes::from(record.stream),
        }),
        stream_revision: record.revision,
        prepare_position: record.position,
        commit_position: record.position,
        metadata,
        custom_metadata: record.event.custom_metadata,
        data: record.event.data,
    };
    answer(read_resp::Content::Event(ReadEvent {
        event: Some(recorded),
        link: None,
        position: Some(read_event::Position::CommitPosition(record.position)),
    }))
}
