//! Appending, over one stream for each connection. When the result of an append is unknown (a time-out, a lost
//! stream), the same append is sent again with the same ids. The server recognises it by the ids, and answers as the
//! first time.

use std::sync::Arc;

use bytes::Bytes;
use kurrentdb_protocol::{
    event_store::client::{
        MaximumAppendSizeExceeded, WrongExpectedVersion,
        streams::{
            BatchAppendReq,
            batch_append_req::{Options, ProposedMessage, options::ExpectedStreamPosition},
            batch_append_resp::{
                Result as Answer,
                success::{CurrentRevisionOption, PositionOption},
            },
        },
        wrong_expected_version::CurrentStreamRevisionOption,
    },
    google::rpc::{Code, Status},
};
use prost::Message;
use tokio::{
    sync::{Mutex, Semaphore},
    time::{Instant, timeout_at},
};

use super::{
    attempts::Attempts, batch::BatchStream, bounds::LAST, calls::stream_identifier, connection::Connection,
    failure::Failure, record,
};

/// The most KiB of all appends that wait for their answers. An append counts as at least four.
const ROOM_KIB: u32 = 64 << 10;
const MIN_KIB: usize = 4;

/// The expected state of the stream.
#[derive(Clone, Copy)]
pub(super) enum Expected {
    /// The version; 0 for an empty stream.
    Version(u64),
    Any,
}

/// The end of the stream after an append.
pub(super) struct Written {
    /// The revision of the last event.
    pub(super) revision: u64,
    /// The position of the last event; unknown if it was appended earlier and the server does not return it.
    pub(super) position: Option<u64>,
}

/// Why an append was refused.
pub(super) enum NotWritten {
    /// The stream is at this version.
    Conflict(u64),
    /// The append is too large. The limit of the server, if it is known.
    TooLarge(Option<usize>),
    Failed(Failure),
}

/// Appends to the leader.
pub(super) struct Writer {
    connection: Arc<Connection>,
    stream: Mutex<Option<Arc<BatchStream>>>,
    room: Semaphore,
}

impl Writer {
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        Self { connection, stream: Mutex::default(), room: Semaphore::new(ROOM_KIB as usize) }
    }

    /// Appends to the stream `name` of the server, if it is in the expected state.
    pub(super) async fn append(
        &self,
        name: &str,
        expected: Expected,
        events: Vec<ProposedMessage>,
    ) -> Result<Written, NotWritten> {
        let deadline = Instant::now() + self.connection.settings.deadline;
        let bytes: usize = events.iter().map(record::size).sum();
        let kib = u32::try_from((bytes >> 10).max(MIN_KIB)).map_or(ROOM_KIB, |kib| kib.min(ROOM_KIB));
        let late = |_| NotWritten::Failed(Failure::Late);
        let _room = timeout_at(deadline, self.room.acquire_many(kib)).await.map_err(late)?;
        let request = BatchAppendReq {
            correlation_id: None,
            options: Some(Options {
                stream_identifier: Some(stream_identifier(name)),
                expected_stream_position: Some(match expected {
                    Expected::Version(0) => ExpectedStreamPosition::NoStream(()),
                    Expected::Version(version) => {
                        ExpectedStreamPosition::StreamPosition((version - 1).min(LAST - 1))
                    }
                    Expected::Any => ExpectedStreamPosition::Any(()),
                }),
                // The server's own deadline is used.
                deadline_option: None,
            }),
            proposed_messages: events,
            is_final: true,
        };
        let mut attempts = Attempts::new(deadline);
        loop {
            let attempt = self.attempt(request.clone(), attempts.before());
            let failure = match timeout_at(deadline, attempt).await {
                Ok(Err(NotWritten::Failed(failure))) => failure,
                Ok(done) => return done,
                Err(_) => return Err(NotWritten::Failed(attempts.late())),
            };
            attempts.next(failure).await.map_err(NotWritten::Failed)?;
        }
    }

    /// Whether the leader accepts appends of this user. Tested by an append that cannot succeed, because the stream
    /// would need the highest possible version.
    pub(super) async fn probe(&self) -> Result<(), Failure> {
        let name = format!("{}taskledger.probe", self.connection.prefix());
        let event = record::binary(runtime::new_id(), name.clone(), Bytes::new(), Bytes::new());
        match self.append(&name, Expected::Version(LAST), vec![event]).await {
            Ok(_) | Err(NotWritten::Conflict(_) | NotWritten::TooLarge(_)) => Ok(()),
            Err(NotWritten::Failed(failure)) => Err(failure),
        }
    }

    async fn attempt(
        &self,
        request: BatchAppendReq,
        before: Option<&Failure>,
    ) -> Result<Written, NotWritten> {
        let stream = self.stream().await.map_err(NotWritten::Failed)?;
        let (written, has_ended) = match stream.append(request).await {
            Ok(answer) => (read_answer(answer), false),
            Err(failure) => (Err(NotWritten::Failed(failure)), true),
        };
        if let Err(NotWritten::Failed(failure)) = &written
            && (has_ended || self.connection.is_over(failure, before))
        {
            self.give_up(&stream, failure, before).await;
        }
        written
    }

    /// The stream that is open, or a new one.
    async fn stream(&self) -> Result<Arc<BatchStream>, Failure> {
        let mut current = self.stream.lock().await;
        if let Some(stream) = &*current
            && self.connection.is_newest(&stream.node)
        {
            return Ok(Arc::clone(stream));
        }
        let node = self.connection.node().await?;
        let stream = Arc::new(BatchStream::open(&self.connection, node));
        *current = Some(Arc::clone(&stream));
        Ok(stream)
    }

    /// Makes the next append open another stream. Appends that wait for answers keep the old one until they have
    /// them.
    async fn give_up(&self, stream: &Arc<BatchStream>, failure: &Failure, before: Option<&Failure>) {
        tracing::debug!(%failure, "a stream of appends is given up");
        let mut current = self.stream.lock().await;
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, stream)) {
            *current = None;
        }
        drop(current);
        self.connection.failed(&stream.node, failure, before).await;
    }
}

fn read_answer(answer: Answer) -> Result<Written, NotWritten> {
    let success = match answer {
        Answer::Error(status) => return Err(refusal(&status)),
        Answer::Success(success) => success,
    };
    let Some(CurrentRevisionOption::CurrentRevision(revision)) = success.current_revision_option else {
        let reason = "KurrentDB has done an append without saying where".to_owned();
        return Err(NotWritten::Failed(Failure::Other(reason)));
    };
    let position = match success.position_option {
        Some(PositionOption::Position(position)) => Some(position.commit_position),
        _ => None,
    };
    Ok(Written { revision, position: position.filter(|position| (1..=LAST).contains(position)) })
}

fn refusal(status: &Status) -> NotWritten {
    let detail = status.details.as_ref().map_or(&[][..], |detail| &detail.value);
    NotWritten::Failed(match (status.code(), status.message.as_str()) {
        (Code::AlreadyExists, "WrongExpectedVersion") => {
            let current =
                WrongExpectedVersion::decode(detail).map(|detail| detail.current_stream_revision_option);
            match current {
                Ok(Some(CurrentStreamRevisionOption::CurrentStreamRevision(revision))) => {
                    return NotWritten::Conflict(revision.saturating_add(1));
                }
                Ok(Some(CurrentStreamRevisionOption::CurrentNoStream(()))) => return NotWritten::Conflict(0),
                Ok(None) | Err(_) => Failure::Other("KurrentDB does not say where the stream is".to_owned()),
            }
        }
        (Code::InvalidArgument, message) if message.starts_with("MaximumAppend") => {
            // Newer servers use another message when one event is too large.
            let said = MaximumAppendSizeExceeded::decode(detail).ok();
            return NotWritten::TooLarge(said.map(|detail| detail.max_append_size as usize));
        }
        (Code::NotFound, "StreamDeleted") => Failure::Deleted,
        (Code::PermissionDenied, message) => Failure::Denied(message.to_owned()),
        (Code::DeadlineExceeded, _) => Failure::TimedOut,
        // "Server Is Not Ready", "Server Is Busy" and similar errors have no code.
        (Code::Ok | Code::Unknown | Code::Internal, message) => Failure::not_handled(message.to_owned()),
        (_, message) => Failure::Other(message.to_owned()),
    })
}
