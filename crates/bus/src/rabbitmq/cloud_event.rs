//! Encodes an event as an AMQP message: CloudEvents 1.0 in binary mode. The body is the payload, byte for byte;
//! everything else is in headers.

use events::{EventId, Metadata, PartitionCount, RecordedEvent, StreamName, Timestamp};
use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable, ShortString},
};

use super::names::short;
use crate::EventMessage;

pub(super) const PERSISTENT: u8 = 2;
/// The version of CloudEvents.
pub(super) const CLOUD_EVENTS: &str = "1.0";

/// The most bytes of all headers of a message. They are sent in one frame, and a frame that is larger than agreed
/// ends the whole connection.
const MAX_HEADERS: usize = 32 * 1024;
/// The most bytes in the frame of the headers that are not headers: other properties, lengths and types.
const FRAME_OVERHEAD: usize = 512;
/// The largest payload, in bytes. It is below the smallest default limit for messages of any supported broker.
const MAX_PAYLOAD: usize = 8 * 1024 * 1024;

const SPEC_VERSION: &str = "cloudEvents:specversion";
const ID: &str = "cloudEvents:id";
const SOURCE: &str = "cloudEvents:source";
const TYPE: &str = "cloudEvents:type";
const TIME: &str = "cloudEvents:time";
const SUBJECT: &str = "cloudEvents:subject";
// Extension attributes.
const POSITION: &str = "cloudEvents:position";
const PREVIOUS: &str = "cloudEvents:previous";
const PARTITION: &str = "cloudEvents:partition";
const PARTITIONS: &str = "cloudEvents:partitions";
const VERSION: &str = "cloudEvents:version";
const SCHEMA_VERSION: &str = "cloudEvents:schemaversion";
const ENCODING: &str = "cloudEvents:encoding";
const METADATA: &str = "cloudEvents:metadata";
const TRACEPARENT: &str = "cloudEvents:traceparent";

/// The routing key of a message.
///
/// # Errors
/// A sentence, when the event's name is too long.
pub(super) fn routing_key(message: &EventMessage) -> Result<ShortString, String> {
    short(format!("{}.{}", message.partition, message.event.kind)).map_err(|error| error.to_string())
}

/// Where an event comes from: the kind of its stream.
pub(super) fn source(event: &RecordedEvent) -> String {
    let stream = event.stream.as_str();
    let kind = stream.split_once('-').map_or(stream, |(kind, _)| kind);
    format!("/taskledger/{kind}")
}

/// The properties of a message; its body is the event's data. `frame_max` is what broker and client have agreed on.
///
/// # Errors
/// A sentence, when no broker would accept the message.
pub(super) fn properties(message: &EventMessage, frame_max: usize) -> Result<BasicProperties, String> {
    let event = &message.event;
    // The traceparent has a header of its own.
    let metadata = serde_json::to_string(&Metadata { traceparent: None, ..event.metadata.clone() })
        .map_err(|error| error.to_string())?;
    if event.data.len() > MAX_PAYLOAD {
        return Err(format!("a payload of {} bytes", event.data.len()));
    }

    let mut headers = FieldTable::default();
    let mut bytes = FRAME_OVERHEAD;
    let mut text = |name: &str, value: String| {
        bytes += name.len() + value.len() + 8;
        headers.insert(name.into(), AMQPValue::LongString(value.into()));
    };
    text(SPEC_VERSION, CLOUD_EVENTS.to_owned());
    text(ID, event.id.to_string());
    text(SOURCE, source(event));
    text(TYPE, event.kind.clone());
    text(TIME, event.recorded_at.to_string());
    text(SUBJECT, event.stream.as_str().to_owned());
    text(ENCODING, event.encoding.as_str().to_owned());
    text(METADATA, metadata);
    if let Some(traceparent) = &event.metadata.traceparent {
        text(TRACEPARENT, traceparent.to_string());
    }
    if bytes > MAX_HEADERS.min(frame_max) {
        return Err(format!("headers of {bytes} bytes"));
    }
    let mut number = |name: &str, value: u64| {
        let value = i64::try_from(value).map_err(|error| format!("{name}: {error}"))?;
        headers.insert(name.into(), AMQPValue::LongLongInt(value));
        Ok::<_, String>(())
    };
    number(POSITION, event.position)?;
    number(PREVIOUS, message.previous)?;
    number(PARTITION, message.partition.into())?;
    number(PARTITIONS, message.partitions.get().into())?;
    number(VERSION, event.version)?;
    number(SCHEMA_VERSION, event.schema_version.into())?;

    Ok(BasicProperties::default()
        .with_content_type("application/json".into())
        .with_delivery_mode(PERSISTENT)
        .with_message_id(event.id.to_string().into())
        .with_headers(headers))
}

/// Decodes a message.
///
/// # Errors
/// A sentence, when it was not encoded by [`properties`].
pub(super) fn read(properties: &BasicProperties, body: Vec<u8>) -> Result<EventMessage, String> {
    let headers = Headers(properties.headers().as_ref().ok_or("a message without headers")?);
    let spec_version = headers.text(SPEC_VERSION)?;
    if spec_version != CLOUD_EVENTS {
        return Err(format!("CloudEvents {spec_version}"));
    }
    let mut metadata: Metadata =
        serde_json::from_str(headers.text(METADATA)?).map_err(|error| format!("{METADATA}: {error}"))?;
    if headers.has(TRACEPARENT) {
        metadata.traceparent = Some(headers.text(TRACEPARENT)?.into());
    }
    let event = RecordedEvent {
        position: headers.number(POSITION)?,
        stream: StreamName::raw(headers.text(SUBJECT)?),
        version: headers.number(VERSION)?,
        id: headers.parsed::<EventId>(ID)?,
        kind: headers.text(TYPE)?.to_owned(),
        schema_version: headers.number(SCHEMA_VERSION)?,
        encoding: headers.parsed(ENCODING)?,
        data: body.into(),
        metadata,
        recorded_at: headers.parsed::<Timestamp>(TIME)?,
    };
    let partitions = headers.number(PARTITIONS)?;
    Ok(EventMessage {
        event,
        partitions: PartitionCount::new(partitions).ok_or_else(|| format!("{PARTITIONS}: {partitions}"))?,
        partition: headers.number(PARTITION)?,
        previous: headers.number(PREVIOUS)?,
    })
}

struct Headers<'a>(&'a FieldTable);

impl<'a> Headers<'a> {
    fn has(&self, name: &str) -> bool {
        self.0.inner().contains_key(name)
    }

    fn get(&self, name: &str) -> Result<&'a AMQPValue, String> {
        self.0.inner().get(name).ok_or_else(|| format!("no header {name}"))
    }

    fn text(&self, name: &str) -> Result<&'a str, String> {
        match self.get(name)? {
            AMQPValue::LongString(text) => {
                std::str::from_utf8(text.as_bytes()).map_err(|error| format!("{name}: {error}"))
            }
            other => Err(format!("{name} is {:?}, not text", other.get_type())),
        }
    }

    fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(&self, name: &str) -> Result<T, String> {
        self.text(name)?.parse().map_err(|error| format!("{name}: {error}"))
    }

    fn number<T: TryFrom<i64>>(&self, name: &str) -> Result<T, String> {
        match self.get(name)? {
            AMQPValue::LongLongInt(number) => {
                T::try_from(*number).map_err(|_| format!("{name} is {number}, out of range"))
            }
            other => Err(format!("{name} is {:?}, not a number", other.get_type())),
        }
    }
}
