//! Converts between the protocol's messages and the log's records.

#![expect(clippy::result_large_err, reason = "a status is what tonic wants")]

use kurrentdb_protocol::{
    event_store::client::{
        AccessDenied, AllStreamPosition, Empty, MaximumAppendSizeExceeded, StreamDeleted, StreamIdentifier,
        Timeout, Uuid as WireUuid, WrongExpectedVersion,
        streams::{
            AppendReq, AppendResp, BatchAppendReq, BatchAppendResp, ReadResp,
            append_req::{Content as AppendContent, options::ExpectedStreamRevision},
            append_resp,
            batch_append_req::{self, ProposedMessage, options::ExpectedStreamPosition},
            batch_append_resp::{
                self, Success,
                success::{CurrentRevisionOption, PositionOption},
            },
            read_req::options::{
                AllOptions, FilterOption, UuidOption,
                all_options::AllOption,
                filter_options::{Filter, Window},
                uuid_option::Content as UuidContent,
            },
            read_resp::{
                self, ReadEvent,
                read_event::{self, RecordedEvent},
            },
        },
        uuid::{Structured, Value},
        wrong_expected_version::{CurrentStreamRevisionOption, ExpectedStreamPositionOption},
    },
    google::rpc::{Code, Status as RpcStatus},
};
use prost::{Message, Name};
use prost_types::Any;
use tonic::{Status, Streaming};
use uuid::Uuid;

use crate::log::{Expected, Proposed, Record};

/// The start position; `None` for the end.
pub(crate) fn start(options: AllOptions) -> Result<Option<u64>, Status> {
    match options.all_option {
        Some(AllOption::Start(_)) => Ok(Some(0)),
        Some(AllOption::End(_)) => Ok(None),
        Some(AllOption::Position(position)) if position.commit_position == position.prepare_position => {
            let signed = i64::try_from(position.commit_position);
            signed.map_err(|_| Status::invalid_argument("Trying to read from an invalid position."))?;
            Ok(Some(position.commit_position))
        }
        _ => Err(Status::invalid_argument("no position of a record")),
    }
}

/// The events of a read.
pub(crate) enum Keep {
    All,
    NotTheSystems,
    Prefixes(Vec<String>),
}

impl Keep {
    pub(crate) fn allows(&self, record: &Record) -> bool {
        match self {
            Self::All => true,
            Self::NotTheSystems => !record.stream.starts_with('$'),
            Self::Prefixes(prefixes) => {
                prefixes.iter().any(|prefix| record.stream.starts_with(prefix.as_str()))
            }
        }
    }

    pub(crate) fn is_filter(&self) -> bool {
        !matches!(self, Self::All)
    }
}

/// The filter, and how many events it examines at a time.
pub(crate) fn filter(option: Option<FilterOption>) -> Result<(Keep, usize), Status> {
    let Some(FilterOption::Filter(options)) = option else {
        return Ok((Keep::All, usize::MAX));
    };
    let window = match options.window {
        Some(Window::Max(most)) => most as usize,
        Some(Window::Count(_)) => super::PAGE,
        None => return Err(Status::invalid_argument("no window")),
    };
    let keep = match options.filter {
        Some(Filter::StreamIdentifier(names)) if names.regex == r"^[^\$].*" => Keep::NotTheSystems,
        Some(Filter::StreamIdentifier(names)) if names.regex.is_empty() => Keep::Prefixes(names.prefix),
        _ => return Err(Status::unimplemented("not in the stand-in")),
    };
    Ok((keep, window))
}

pub(crate) fn bounded(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

pub(crate) fn name(identifier: Option<StreamIdentifier>) -> Result<String, Status> {
    let identifier = identifier.ok_or_else(|| Status::invalid_argument("no stream"))?;
    match String::from_utf8(identifier.stream_name.to_vec()) {
        Ok(name) if !name.is_empty() => Ok(name),
        _ => Err(Status::invalid_argument("not a name")),
    }
}

fn id(id: Option<WireUuid>) -> Result<Uuid, Status> {
    match id.and_then(|id| id.value) {
        Some(Value::String(text)) => text.parse().map_err(|_| Status::invalid_argument("not an id")),
        Some(Value::Structured(bits)) => Ok(Uuid::from_u64_pair(
            bits.most_significant_bits.cast_unsigned(),
            bits.least_significant_bits.cast_unsigned(),
        )),
        None => Err(Status::invalid_argument("no id")),
    }
}

/// Decodes an append of a batch: the stream, the expected version, and the events.
pub(crate) fn append(request: BatchAppendReq) -> Result<(String, Expected, Vec<Proposed>), Status> {
    let options = request.options.ok_or_else(|| Status::invalid_argument("no options"))?;
    if !request.is_final {
        return Err(Status::unimplemented("not in the stand-in"));
    }
    let expected = match options.expected_stream_position {
        Some(ExpectedStreamPosition::StreamPosition(revision)) => Expected::Revision(
            i64::try_from(revision).map_err(|_| Status::invalid_argument("revision out of range"))?,
        ),
        Some(ExpectedStreamPosition::NoStream(())) => Expected::Revision(-1),
        Some(ExpectedStreamPosition::Any(())) => Expected::Any,
        _ => return Err(Status::unimplemented("not in the stand-in")),
    };
    let events = request
        .proposed_messages
        .into_iter()
        .map(|event| {
            if !event.metadata.contains_key("type") || !event.metadata.contains_key("content-type") {
                return Err(Status::invalid_argument("Required Metadata Property is missing"));
            }
            Ok(Proposed {
                id: id(event.id)?,
                metadata: event.metadata,
                custom_metadata: event.custom_metadata,
                data: event.data,
            })
        })
        .collect::<Result<_, _>>()?;
    Ok((name(options.stream_identifier)?, expected, events))
}

/// Decodes an append that is not part of a batch, as a batch of one.
pub(crate) async fn as_batch(mut requests: Streaming<AppendReq>) -> Result<BatchAppendReq, Status> {
    let first = requests.message().await?.and_then(|request| request.content);
    let Some(AppendContent::Options(options)) = first else {
        return Err(Status::invalid_argument("no options"));
    };
    let expected = match options.expected_stream_revision {
        Some(ExpectedStreamRevision::Revision(revision)) => ExpectedStreamPosition::StreamPosition(revision),
        Some(ExpectedStreamRevision::NoStream(_)) => ExpectedStreamPosition::NoStream(()),
        Some(ExpectedStreamRevision::Any(_)) => ExpectedStreamPosition::Any(()),
        _ => return Err(Status::unimplemented("not in the stand-in")),
    };
    let mut proposed_messages = Vec::new();
    while let Some(request) = requests.message().await? {
        let Some(AppendContent::ProposedMessage(message)) = request.content else {
            return Err(Status::invalid_argument("options twice"));
        };
        proposed_messages.push(ProposedMessage {
            id: message.id,
            metadata: message.metadata,
            custom_metadata: message.custom_metadata,
            data: message.data,
        });
    }
    Ok(BatchAppendReq {
        correlation_id: None,
        options: Some(batch_append_req::Options {
            stream_identifier: options.stream_identifier,
            expected_stream_position: Some(expected),
            deadline_option: None,
        }),
        proposed_messages,
        is_final: true,
    })
}

/// Encodes the answer to an append that is not part of a batch.
pub(crate) fn append_answer(success: Success) -> Result<AppendResp, Status> {
    let (Some(CurrentRevisionOption::CurrentRevision(revision)), Some(PositionOption::Position(position))) =
        (success.current_revision_option, success.position_option)
    else {
        return Err(Status::internal("an append without a position"));
    };
    Ok(AppendResp {
        result: Some(append_resp::Result::Success(append_resp::Success {
            current_revision_option: Some(append_resp::success::CurrentRevisionOption::CurrentRevision(
                revision,
            )),
            position_option: Some(append_resp::success::PositionOption::Position(append_resp::Position {
                commit_position: position.commit_position,
                prepare_position: position.prepare_position,
            })),
        })),
    })
}

pub(crate) fn success(revision: u64, position: u64) -> batch_append_resp::Result {
    batch_append_resp::Result::Success(Success {
        current_revision_option: Some(CurrentRevisionOption::CurrentRevision(revision)),
        position_option: Some(PositionOption::Position(AllStreamPosition {
            commit_position: position,
            prepare_position: position,
        })),
    })
}

/// The answer to an append that was refused; `name` is that of its detail.
fn refusal(code: Code, name: &str, detail: &impl Message) -> batch_append_resp::Result {
    batch_append_resp::Result::Error(RpcStatus {
        code: code.into(),
        message: name.to_owned(),
        details: Some(Any {
            type_url: format!("type.googleapis.com/event_store.client.{name}"),
            value: detail.encode_to_vec(),
        }),
    })
}

pub(crate) fn wrong_version(current: i64, expected: Expected) -> batch_append_resp::Result {
    let detail = WrongExpectedVersion {
        current_stream_revision_option: Some(match u64::try_from(current) {
            Ok(revision) => CurrentStreamRevisionOption::CurrentStreamRevision(revision),
            Err(_) => CurrentStreamRevisionOption::CurrentNoStream(()),
        }),
        expected_stream_position_option: Some(match expected {
            Expected::Any => ExpectedStreamPositionOption::ExpectedAny(()),
            Expected::Revision(revision) => match u64::try_from(revision) {
                Ok(revision) => ExpectedStreamPositionOption::ExpectedStreamPosition(revision),
                Err(_) => ExpectedStreamPositionOption::ExpectedNoStream(()),
            },
        }),
    };
    refusal(Code::AlreadyExists, "WrongExpectedVersion", &detail)
}

pub(crate) fn too_large(most: usize) -> batch_append_resp::Result {
    let detail = MaximumAppendSizeExceeded { max_append_size: u32::try_from(most).unwrap_or(u32::MAX) };
    refusal(Code::InvalidArgument, "MaximumAppendSizeExceeded", &detail)
}

/// The detail of newer versions: the event, its size, and the limit.
#[derive(Clone, PartialEq, Message)]
struct MaximumAppendEventSizeExceeded {
    #[prost(string, tag = "1")]
    event_id: String,
    #[prost(uint32, tag = "2")]
    proposed_event_size: u32,
    #[prost(uint32, tag = "3")]
    max_append_event_size: u32,
}

pub(crate) fn event_too_large(most: usize) -> batch_append_resp::Result {
    let most = u32::try_from(most).unwrap_or(u32::MAX);
    let detail = MaximumAppendEventSizeExceeded {
        event_id: Uuid::nil().to_string(),
        proposed_event_size: most.saturating_add(1),
        max_append_event_size: most,
    };
    refusal(Code::InvalidArgument, "MaximumAppendEventSizeExceeded", &detail)
}

pub(crate) fn deleted(stream: &str) -> batch_append_resp::Result {
    let detail =
        StreamDeleted { stream_identifier: Some(StreamIdentifier { stream_name: stream.to_owned().into() }) };
    refusal(Code::NotFound, "StreamDeleted", &detail)
}

pub(crate) fn denied() -> batch_append_resp::Result {
    refusal(Code::PermissionDenied, "AccessDenied", &AccessDenied {})
}

pub(crate) fn timed_out() -> batch_append_resp::Result {
    refusal(Code::DeadlineExceeded, "Timeout", &Timeout {})
}

/// "Server Is Not Ready" and "Server Is Busy" have no code.
pub(crate) fn not_handled(message: &str) -> batch_append_resp::Result {
    batch_append_resp::Result::Error(RpcStatus {
        code: Code::Ok.into(),
        message: message.to_owned(),
        details: Some(Any { type_url: <() as Name>::type_url(), value: Vec::new() }),
    })
}

pub(crate) fn bad_request(reason: &Status) -> batch_append_resp::Result {
    let detail = kurrentdb_protocol::event_store::client::BadRequest { message: reason.message().to_owned() };
    refusal(Code::InvalidArgument, "BadRequest", &detail)
}

pub(crate) fn answer(content: read_resp::Content) -> ReadResp {
    ReadResp { content: Some(content) }
}

/// Encodes the answer to an append of a batch.
pub(crate) fn batch_answer(
    correlation_id: Option<WireUuid>,
    stream: Option<StreamIdentifier>,
    result: batch_append_resp::Result,
) -> BatchAppendResp {
    BatchAppendResp {
        correlation_id,
        result: Some(result),
        stream_identifier: stream,
        expected_stream_position: None,
    }
}

pub(crate) fn event(record: &Record, ids: Option<&UuidOption>) -> ReadResp {
    let mut metadata = record.event.metadata.clone();
    metadata.insert("created".to_owned(), "17800000001234567".to_owned());
    let (most, least) = record.event.id.as_u64_pair();
    let as_text = matches!(ids, Some(UuidOption { content: Some(UuidContent::String(Empty {})) }));
    let id = if as_text {
        Value::String(record.event.id.to_string())
    } else {
        Value::Structured(Structured {
            most_significant_bits: most.cast_signed(),
            least_significant_bits: least.cast_signed(),
        })
    };
    let recorded = RecordedEvent {
        id: Some(WireUuid { value: Some(id) }),
        stream_identifier: Some(StreamIdentifier { stream_name: record.stream.clone().into() }),
        stream_revision: record.revision,
        prepare_position: record.position,
        commit_position: record.position,
        metadata,
        custom_metadata: record.event.custom_metadata.clone(),
        data: record.event.data.clone(),
    };
    answer(read_resp::Content::Event(ReadEvent {
        event: Some(recorded),
        link: None,
        position: Some(read_event::Position::CommitPosition(record.position)),
    }))
}

/// Removes the position from an event, as versions before 22.6 do in reads of streams.
pub(crate) fn without_position(answer: &mut ReadResp) {
    if let Some(read_resp::Content::Event(read)) = &mut answer.content
        && let Some(event) = &mut read.event
    {
        (event.commit_position, event.prepare_position) = (u64::MAX, u64::MAX);
        read.position = None;
    }
}
