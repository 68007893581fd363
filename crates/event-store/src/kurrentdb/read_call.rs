//! The call that reads from KurrentDB: its requests and its results.

use kurrentdb_protocol::event_store::client::{
    Empty,
    streams::{
        ReadReq, ReadResp,
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
};
use tonic::Streaming;

use super::{
    bounds::LAST,
    calls::{self, stream_identifier},
    connection::{Connection, Node},
    failure::Failure,
};

/// How many events a filtered read examines before it pauses. With the default of 32 a search takes several times as
/// long.
const WINDOW: u32 = 2_000;

/// The error for an event without a position.
const NO_POSITION: &str =
    "the server does not say where its events are in the log, as versions before 22.6 do not";

/// The request of a read.
pub(super) struct Read(Options);

impl Read {
    fn new(stream: StreamOption, count: CountOption) -> Self {
        Self(Options {
            stream_option: Some(stream),
            count_option: Some(count),
            read_direction: ReadDirection::Forwards.into(),
            filter_option: Some(FilterOption::NoFilter(Empty {})),
            uuid_option: Some(UuidOption { content: Some(UuidContent::Structured(Empty {})) }),
            resolve_links: false,
            control_option: None,
        })
    }

    fn of_stream(name: &str, from: RevisionOption, count: usize) -> Self {
        let stream =
            StreamOptions { stream_identifier: Some(stream_identifier(name)), revision_option: Some(from) };
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
        let all = AllOptions { all_option: Some(from) };
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

    /// Restricts the read to events that may belong to the log with this prefix, as far as the server can filter.
    pub(super) fn of(mut self, prefix: &str) -> Self {
        let names = if prefix.is_empty() {
            Expression { regex: r"^[^\$].*".to_owned(), prefix: Vec::new() }
        } else {
            Expression { regex: String::new(), prefix: vec![prefix.to_owned()] }
        };
        self.0.filter_option = Some(FilterOption::Filter(FilterOptions {
            checkpoint_interval_multiplier: 1,
            filter: Some(Filter::StreamIdentifier(names)),
            window: Some(Window::Max(WINDOW)),
        }));
        self
    }

    /// Sends the read to `node`.
    pub(super) async fn start(self, node: &Node, connection: &Connection) -> Result<Reading, Failure> {
        let request = connection.request(ReadReq { options: Some(self.0) });
        Ok(Reading { answers: calls::read(node.channel.clone(), request).await?, is_of_nothing: false })
    }
}

/// The first event of the read that `read` returns.
pub(super) async fn first_event(
    connection: &Connection,
    read: impl Fn() -> Read + Send + Sync,
) -> Result<Option<RecordedEvent>, Failure> {
    let first = |node: Node| {
        let read = read();
        async move { read.start(&node, connection).await?.next_event().await }
    };
    connection.run(connection.settings.deadline, first).await
}

/// The record that begins at `position`, ours or not; `None` where none begins.
pub(super) async fn record_at(
    connection: &Connection,
    position: u64,
) -> Result<Option<RecordedEvent>, Failure> {
    match first_event(connection, || Read::log(position, 1)).await {
        Ok(event) => Ok(event.filter(|event| event.commit_position == position)),
        Err(Failure::NoSuchPosition) => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn at(position: u64) -> AllOption {
    match position {
        0 => AllOption::Start(Empty {}),
        // The commit position of an event is also its prepare position, because explicit transactions are not used
        // any more.
        position => AllOption::Position(Position { commit_position: position, prepare_position: position }),
    }
}

/// A running read. Dropping it resets the stream.
pub(super) struct Reading {
    answers: Streaming<ReadResp>,
    /// Whether the server has said that the stream does not exist.
    pub(super) is_of_nothing: bool,
}

/// A result of a read.
pub(super) enum ReadItem {
    Event(Box<RecordedEvent>),
    /// The server was searched up to this position.
    Checkpoint(u64),
}

impl Reading {
    /// The next event or checkpoint; `None` at the end, or if the stream does not exist.
    pub(super) async fn next(&mut self) -> Result<Option<ReadItem>, Failure> {
        while let Some(answer) = self.answers.message().await? {
            match answer.content {
                // Links are not followed; the linked events are read themselves.
                Some(read_resp::Content::Event(read)) => {
                    if let Some(event) = read.event {
                        if event.commit_position > LAST {
                            return Err(Failure::Other(NO_POSITION.to_owned()));
                        }
                        return Ok(Some(ReadItem::Event(Box::new(event))));
                    }
                }
                Some(read_resp::Content::Checkpoint(checkpoint)) => {
                    return Ok(Some(ReadItem::Checkpoint(checkpoint.commit_position)));
                }
                Some(read_resp::Content::StreamNotFound(_)) => {
                    self.is_of_nothing = true;
                    return Ok(None);
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// The next event.
    pub(super) async fn next_event(&mut self) -> Result<Option<RecordedEvent>, Failure> {
        while let Some(found) = self.next().await? {
            if let ReadItem::Event(event) = found {
                return Ok(Some(*event));
            }
        }
        Ok(None)
    }
}
