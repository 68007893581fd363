//! The remote procedures of KurrentDB that we use, and what their requests look like.

use bytes::Bytes;
use futures::Stream;
use http::uri::PathAndQuery;
use kurrentdb_protocol::event_store::client::{
    Empty, StreamIdentifier, Uuid as WireUuid,
    gossip::ClusterInfo,
    streams::{
        BatchAppendReq, BatchAppendResp, ReadReq, ReadResp,
        read_req::{
            Options,
            options::{
                AllOptions, CountOption, FilterOption, FilterOptions, Position, ReadDirection, StreamOption,
                StreamOptions, SubscriptionOptions, UuidOption,
                all_options::AllOption,
                filter_options::{Expression, Filter, Window},
                stream_options::RevisionOption,
                uuid_option::Content as UuidContent,
            },
        },
        read_resp::{self, read_event::RecordedEvent},
    },
    uuid::{Structured, Value},
};
use tonic::{
    Request, Streaming, client::Grpc, codec::ProstCodec, metadata::MetadataValue, transport::Channel,
};
use uuid::Uuid;

use super::{
    connection::{Connection, Node},
    failure::Failure,
};

/// The largest message that is taken: an event of the largest size that a server can hold.
const MOST_MESSAGE_BYTES: usize = 32 << 20;
/// So many events a filtered read looks at before it pauses. The usual 32 make a search several times as slow.
const WINDOW: u32 = 2_000;

const READ: &str = "/event_store.client.streams.Streams/Read";
const BATCH_APPEND: &str = "/event_store.client.streams.Streams/BatchAppend";
const GOSSIP: &str = "/event_store.client.gossip.Gossip/Read";

async fn ready(channel: Channel) -> Result<Grpc<Channel>, Failure> {
    let mut grpc = Grpc::new(channel).max_decoding_message_size(MOST_MESSAGE_BYTES);
    let ready = grpc.ready().await;
    ready.map_err(|error| Failure::Connection(error.to_string()))?;
    Ok(grpc)
}

/// The cluster, as the node sees it.
pub(super) async fn gossip(channel: Channel, request: Request<Empty>) -> Result<ClusterInfo, Failure> {
    let mut grpc = ready(channel).await?;
    let answer = grpc
        .unary(request, PathAndQuery::from_static(GOSSIP), ProstCodec::default())
        .await?;
    Ok(answer.into_inner())
}

/// A stream of appends and one of answers. The server answers nothing, not even that it has accepted the stream, before
/// the first append.
pub(super) async fn batch_append(
    node: &Node,
    requests: Request<impl Stream<Item = BatchAppendReq> + Send + 'static>,
) -> Result<Streaming<BatchAppendResp>, Failure> {
    let mut grpc = ready(node.channel.clone()).await?;
    let answers = grpc
        .streaming(
            needs_leader(requests),
            PathAndQuery::from_static(BATCH_APPEND),
            ProstCodec::default(),
        )
        .await?;
    Ok(answers.into_inner())
}

/// A follower may be behind what was answered.
fn needs_leader<T>(mut request: Request<T>) -> Request<T> {
    let yes = MetadataValue::from_static("true");
    request.metadata_mut().insert("requires-leader", yes);
    request
}

/// What a read is about.
pub(super) struct Read(Options);

impl Read {
    fn new(stream: StreamOption, count: CountOption) -> Self {
        Self(Options {
            stream_option: Some(stream),
            count_option: Some(count),
            read_direction: ReadDirection::Forwards.into(),
            filter_option: Some(FilterOption::NoFilter(Empty {})),
            uuid_option: Some(UuidOption {
                content: Some(UuidContent::Structured(Empty {})),
            }),
            resolve_links: false,
            control_option: None,
        })
    }

    fn of_stream(name: &str, from: RevisionOption, count: usize) -> Self {
        let stream = StreamOptions {
            stream_identifier: Some(stream_identifier(name)),
            revision_option: Some(from),
        };
        Self::new(StreamOption::Stream(stream), CountOption::Count(count as u64))
    }

    /// A stream from a revision on.
    pub(super) fn stream(name: &str, revision: u64, count: usize) -> Self {
        Self::of_stream(name, RevisionOption::Revision(revision), count)
    }

    /// The last event of a stream.
    pub(super) fn stream_end(name: &str) -> Self {
        Self::of_stream(name, RevisionOption::End(Empty {}), 1).backwards()
    }

    fn of_log(from: AllOption, count: CountOption) -> Self {
        let all = AllOptions {
            all_option: Some(from),
        };
        Self::new(StreamOption::All(all), count)
    }

    /// The log from the record at `position` on.
    pub(super) fn log(position: u64, count: usize) -> Self {
        Self::of_log(at(position), CountOption::Count(count as u64))
    }

    /// The log before `position`, or from its end, backwards.
    pub(super) fn log_backwards(position: Option<u64>, count: usize) -> Self {
        let from = position.map_or(AllOption::End(Empty {}), at);
        Self::of_log(from, CountOption::Count(count as u64)).backwards()
    }

    /// The log after `position`, without an end.
    pub(super) fn subscription(position: u64) -> Self {
        Self::of_log(at(position), CountOption::Subscription(SubscriptionOptions {}))
    }

    fn backwards(mut self) -> Self {
        self.0.read_direction = ReadDirection::Backwards.into();
        self
    }

    /// Only what may be of the log whose streams begin with `prefix`, as far as the server can tell.
    pub(super) fn of(mut self, prefix: &str) -> Self {
        let names = if prefix.is_empty() {
            Expression {
                regex: r"^[^\$].*".to_owned(),
                prefix: Vec::new(),
            }
        } else {
            Expression {
                regex: String::new(),
                prefix: vec![prefix.to_owned()],
            }
        };
        self.0.filter_option = Some(FilterOption::Filter(FilterOptions {
            checkpoint_interval_multiplier: 1,
            filter: Some(Filter::StreamIdentifier(names)),
            window: Some(Window::Max(WINDOW)),
        }));
        self
    }

    /// Starts it.
    pub(super) async fn start(self, node: &Node, connection: &Connection) -> Result<Reading, Failure> {
        let request = needs_leader(connection.request(ReadReq {
            options: Some(self.0),
        }));
        let mut grpc = ready(node.channel.clone()).await?;
        let answers = grpc
            .server_streaming(request, PathAndQuery::from_static(READ), ProstCodec::default())
            .await?;
        Ok(Reading(answers.into_inner()))
    }
}

fn at(position: u64) -> AllOption {
    match position {
        0 => AllOption::Start(Empty {}),
        // An event's commit position is its prepare position too, since nobody uses explicit transactions any more.
        position => AllOption::Position(Position {
            commit_position: position,
            prepare_position: position,
        }),
    }
}

/// A read that goes on. Dropping it resets the stream.
pub(super) struct Reading(Streaming<ReadResp>);

/// What a read brings.
pub(super) enum Found {
    Event(Box<RecordedEvent>),
    /// Everything up to this position has been looked at.
    Checkpoint(u64),
}

impl Reading {
    /// The next event or checkpoint; nothing at the end, or if there is no such stream.
    pub(super) async fn next(&mut self) -> Result<Option<Found>, Failure> {
        while let Some(answer) = self.0.message().await? {
            match answer.content {
                // Links are not followed; they come as events of their own.
                Some(read_resp::Content::Event(read)) => {
                    if let Some(event) = read.event {
                        return Ok(Some(Found::Event(Box::new(event))));
                    }
                }
                Some(read_resp::Content::Checkpoint(checkpoint)) => {
                    return Ok(Some(Found::Checkpoint(checkpoint.commit_position)));
                }
                Some(read_resp::Content::StreamNotFound(_)) => return Ok(None),
                _ => {}
            }
        }
        Ok(None)
    }

    /// The next event.
    pub(super) async fn next_event(&mut self) -> Result<Option<RecordedEvent>, Failure> {
        while let Some(found) = self.next().await? {
            if let Found::Event(event) = found {
                return Ok(Some(*event));
            }
        }
        Ok(None)
    }
}

pub(super) fn stream_identifier(name: &str) -> StreamIdentifier {
    StreamIdentifier {
        stream_name: Bytes::copy_from_slice(name.as_bytes()),
    }
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
