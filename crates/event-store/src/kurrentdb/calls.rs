//! The remote procedures of KurrentDB that are used, and their requests.

use bytes::Bytes;
use futures::Stream;
use http::uri::PathAndQuery;
use kurrentdb_protocol::event_store::client::{
    Empty, StreamIdentifier, Uuid as WireUuid,
    gossip::ClusterInfo,
    streams::{BatchAppendReq, BatchAppendResp, ReadReq, ReadResp},
    uuid::{Structured, Value},
};
use tonic::{
    Request, Streaming, client::Grpc, codec::ProstCodec, metadata::MetadataValue, transport::Channel,
};
use uuid::Uuid;

use super::failure::Failure;

/// The largest accepted message, in bytes: an event of the largest size that a server can hold.
const MAX_MESSAGE_BYTES: usize = 32 << 20;

const READ: &str = "/event_store.client.streams.Streams/Read";
const BATCH_APPEND: &str = "/event_store.client.streams.Streams/BatchAppend";
const GOSSIP: &str = "/event_store.client.gossip.Gossip/Read";

async fn ready(channel: Channel) -> Result<Grpc<Channel>, Failure> {
    let mut grpc = Grpc::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let ready = grpc.ready().await;
    ready.map_err(|error| Failure::Connection(error.to_string()))?;
    Ok(grpc)
}

/// The cluster, as the node sees it.
pub(super) async fn gossip(channel: Channel, request: Request<Empty>) -> Result<ClusterInfo, Failure> {
    let mut grpc = ready(channel).await?;
    let answer = grpc.unary(request, PathAndQuery::from_static(GOSSIP), ProstCodec::default()).await?;
    Ok(answer.into_inner())
}

/// A stream of appends and a stream of answers. The server answers nothing before the first append, not even that it
/// accepted the stream.
pub(super) async fn batch_append(
    channel: Channel,
    requests: Request<impl Stream<Item = BatchAppendReq> + Send + 'static>,
) -> Result<Streaming<BatchAppendResp>, Failure> {
    let mut grpc = ready(channel).await?;
    let answers = grpc
        .streaming(needs_leader(requests), PathAndQuery::from_static(BATCH_APPEND), ProstCodec::default())
        .await?;
    Ok(answers.into_inner())
}

/// The answers to a read. Dropping them resets the stream.
pub(super) async fn read(
    channel: Channel,
    request: Request<ReadReq>,
) -> Result<Streaming<ReadResp>, Failure> {
    let mut grpc = ready(channel).await?;
    let answers = grpc
        .server_streaming(needs_leader(request), PathAndQuery::from_static(READ), ProstCodec::default())
        .await?;
    Ok(answers.into_inner())
}

/// Requires the leader: a follower may be behind an earlier answer.
fn needs_leader<T>(mut request: Request<T>) -> Request<T> {
    let yes = MetadataValue::from_static("true");
    request.metadata_mut().insert("requires-leader", yes);
    request
}

pub(super) fn stream_identifier(name: &str) -> StreamIdentifier {
    StreamIdentifier { stream_name: Bytes::copy_from_slice(name.as_bytes()) }
}

pub(super) fn wire_id(id: Uuid) -> WireUuid {
    let (most, least) = id.as_u64_pair();
    WireUuid {
        value: Some(Value::Structured(Structured {
            most_significant_bits: most.cast_signed(),
            least_significant_bits: least.cast_signed(),
        })),
    }
}

pub(super) fn id(wire: Option<WireUuid>) -> Option<Uuid> {
    match wire?.value? {
        Value::Structured(bits) => Some(Uuid::from_u64_pair(
            bits.most_significant_bits.cast_unsigned(),
            bits.least_significant_bits.cast_unsigned(),
        )),
        Value::String(text) => text.parse().ok(),
    }
}
