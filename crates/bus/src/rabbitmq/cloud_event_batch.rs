//! Encodes several events of one partition as one AMQP message: a batch in the JSON format of CloudEvents 1.0. A broker
//! needs about as long for it as for a single event, so that publishing keeps up with a busy log.

use std::borrow::Cow;

use events::{EventId, Metadata, PartitionCount, RecordedEvent, StreamName};
use lapin::{BasicProperties, types::ShortString};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::cloud_event::{CLOUD_EVENTS, PERSISTENT, source};
use crate::EventMessage;

/// The media type of a batch.
const CONTENT_TYPE: &str = "application/cloudevents-batch+json";
/// The most bytes of a batch, as many as the largest event that is usual: a consumer holds a number of messages.
const MAX_BYTES: usize = 56 * 1024;
/// The most events of a batch.
const MAX_EVENTS: usize = 100;

/// One event of a batch, with the attributes that a single event has as headers.
#[derive(Serialize, Deserialize)]
struct BatchedEvent<'a> {
    specversion: Cow<'a, str>,
    id: Cow<'a, str>,
    source: Cow<'a, str>,
    #[serde(rename = "type")]
    kind: Cow<'a, str>,
    time: Cow<'a, str>,
    subject: Cow<'a, str>,
    datacontenttype: Cow<'a, str>,
    position: u64,
    previous: u64,
    partition: u16,
    partitions: u16,
    version: u64,
    schemaversion: u16,
    encoding: Cow<'a, str>,
    metadata: Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// Encodes the first of `messages`, as many as fit into one batch, and returns their number and the body. `None` when
/// there would be only one, or when the first cannot be part of any: its payload has to be JSON, and to arrive byte for
/// byte.
pub(super) fn encode(messages: &[&EventMessage]) -> Option<(usize, Vec<u8>)> {
    let mut json = Vec::new();
    let mut count = 0;
    for message in messages.iter().take(MAX_EVENTS) {
        let before = json.len();
        json.push(if count == 0 { b'[' } else { b',' });
        if write(message, &mut json).is_none() || json.len() >= MAX_BYTES {
            json.truncate(before);
            break;
        }
        count += 1;
    }
    json.push(b']');
    (count > 1).then_some((count, json))
}

fn write(message: &EventMessage, json: &mut Vec<u8>) -> Option<()> {
    let event = &message.event;
    if event.data.len() >= MAX_BYTES {
        return None;
    }
    let data: &RawValue = serde_json::from_slice(&event.data).ok()?;
    if data.get().len() != event.data.len() {
        return None;
    }
    let event = BatchedEvent {
        specversion: CLOUD_EVENTS.into(),
        id: event.id.to_string().into(),
        source: source(event).into(),
        kind: event.kind.as_str().into(),
        time: event.recorded_at.to_string().into(),
        subject: event.stream.as_str().into(),
        datacontenttype: "application/json".into(),
        position: event.position,
        previous: message.previous,
        partition: message.partition,
        partitions: message.partitions.get(),
        version: event.version,
        schemaversion: event.schema_version,
        encoding: event.encoding.as_str().into(),
        metadata: serde_json::to_string(&event.metadata).ok()?.into(),
        data,
    };
    serde_json::to_writer(json, &event).ok()
}

/// The routing key of the batches of a partition.
pub(super) fn routing_key(partition: u16) -> ShortString {
    format!("{partition}.batch").into()
}

/// The properties of a batch.
pub(super) fn properties() -> BasicProperties {
    BasicProperties::default().with_content_type(CONTENT_TYPE.into()).with_delivery_mode(PERSISTENT)
}

/// Whether a message with these properties is a batch.
pub(super) fn is_batch(properties: &BasicProperties) -> bool {
    properties.content_type().as_ref().is_some_and(|media_type| media_type.as_str() == CONTENT_TYPE)
}

/// Decodes a batch: each of its events, or why it is none.
///
/// # Errors
/// A sentence, when it is no batch at all.
pub(super) fn read(body: &[u8]) -> Result<Vec<Result<EventMessage, String>>, String> {
    let events: Vec<BatchedEvent<'_>> =
        serde_json::from_slice(body).map_err(|error| format!("a batch: {error}"))?;
    Ok(events.into_iter().map(read_event).collect())
}

fn read_event(batched: BatchedEvent<'_>) -> Result<EventMessage, String> {
    if batched.specversion != CLOUD_EVENTS {
        return Err(format!("CloudEvents {}", batched.specversion));
    }
    let event = RecordedEvent {
        position: batched.position,
        stream: StreamName::raw(batched.subject),
        version: batched.version,
        id: batched.id.parse::<EventId>().map_err(|error| format!("id: {error}"))?,
        kind: batched.kind.into_owned(),
        schema_version: batched.schemaversion,
        encoding: batched.encoding.parse()?,
        data: batched.data.get().as_bytes().to_vec().into(),
        metadata: serde_json::from_str::<Metadata>(&batched.metadata)
            .map_err(|error| format!("metadata: {error}"))?,
        recorded_at: batched.time.parse().map_err(|error| format!("time: {error}"))?,
    };
    let partitions = batched.partitions;
    Ok(EventMessage {
        event,
        partitions: PartitionCount::new(partitions).ok_or_else(|| format!("partitions: {partitions}"))?,
        partition: batched.partition,
        previous: batched.previous,
    })
}
