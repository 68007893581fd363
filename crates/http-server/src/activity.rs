//! The state of a connection (idle, reading a head, serving a request), which decides which timeout applies.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{head::Refusal, load::AtWork};

/// The most bytes of an unread body that are read and dropped, so that the connection can be used again.
const REST: u64 = 16 * 1024;
/// The time limit for reading the rest of an unread body.
const REST_TIMEOUT: Duration = Duration::from_millis(500);

/// The time limits of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    /// For the first head, and for a head that has begun.
    pub(crate) head: Duration,
    /// Between two requests.
    pub(crate) idle: Duration,
    /// For the client to take the next part of an answer.
    pub(crate) write: Duration,
    /// For the client to take a whole answer. Only the time that this side waits for the client counts.
    pub(crate) answer: Duration,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// The last answer was sent, and nothing of the next request has arrived.
    Idle(Instant),
    /// The head of a request is expected or has begun.
    Head(Instant),
    /// A request is being served.
    Busy,
}

/// The state of a connection, shared by its socket and its service.
#[derive(Clone)]
pub(crate) struct Activity(Arc<Mutex<State>>);

struct State {
    phase: Phase,
    /// The waker of a socket that waits without a limit, because a request is being served.
    waiting: Option<Waker>,
    body: RequestBody,
    /// The refusal of the next request.
    refusal: Option<Refusal>,
    /// Whether the connection ends with the next answer.
    is_turned_away: bool,
    /// Whether the client does not take what is sent to it.
    is_write_waiting: bool,
}

/// The state of the body of the last request.
enum RequestBody {
    /// Read to its end, or there was none.
    Read,
    /// It may still be read.
    Held,
    /// Dropped before its end.
    Left(Incoming),
    /// Refused; the client may still be sending it.
    Refused,
}

impl Activity {
    pub(crate) fn new() -> Self {
        let phase = Phase::Head(Instant::now());
        Self(Arc::new(Mutex::new(State {
            phase,
            waiting: None,
            body: RequestBody::Read,
            refusal: None,
            is_turned_away: false,
            is_write_waiting: false,
        })))
    }

    /// Records that a head was read. The request is being served until the guard is dropped.
    pub(crate) fn busy(&self, has_no_body: bool) -> Busy {
        let mut state = self.0.lock();
        state.phase = Phase::Busy;
        state.body = if has_no_body {
            RequestBody::Read
        } else {
            RequestBody::Held
        };
        Busy(self.clone())
    }

    /// Records that the body was read to its end.
    pub(crate) fn body_read(&self) {
        self.0.lock().body = RequestBody::Read;
    }

    /// Records that the body was dropped before its end.
    pub(crate) fn body_left(&self, rest: Incoming) {
        self.0.lock().body = RequestBody::Left(rest);
    }

    /// Records that the body was never asked for, while the client waits until it is.
    pub(crate) fn body_refused(&self) {
        self.0.lock().body = RequestBody::Refused;
    }

    /// Whether the body was read to its end, or will not be read.
    pub(crate) fn is_body_read(&self) -> bool {
        matches!(self.0.lock().body, RequestBody::Read)
    }

    /// Marks the next request of the service as a stand-in for one that was refused.
    pub(crate) fn refuse(&self, refusal: Refusal) {
        self.0.lock().refusal = Some(refusal);
    }

    /// Refuses the first request of this connection, which then ends. The first reason counts.
    pub(crate) fn turn_away(&self, refusal: Refusal) {
        let mut state = self.0.lock();
        state.is_turned_away = true;
        state.refusal.get_or_insert(refusal);
    }

    /// Ends the connection with the answer to the request that is being served, or to the next one.
    pub(crate) fn end_with_answer(&self) {
        self.0.lock().is_turned_away = true;
    }

    /// The reason why the request that the service got was refused, if it was. The connection ends with it.
    pub(crate) fn take_refusal(&self) -> Option<Refusal> {
        let mut state = self.0.lock();
        let refusal = state.refusal.take()?;
        state.body = RequestBody::Refused;
        Some(refusal)
    }

    /// Whether the connection can serve another request. Not after an unread body; the rest of a small one is read
    /// here.
    pub(crate) async fn can_go_on(&self) -> bool {
        let body = std::mem::replace(&mut self.0.lock().body, RequestBody::Refused);
        let read = match body {
            RequestBody::Read => true,
            RequestBody::Held | RequestBody::Refused => false,
            RequestBody::Left(rest) if rest.size_hint().lower() > REST => false,
            RequestBody::Left(rest) => tokio::time::timeout(REST_TIMEOUT, is_short(rest))
                .await
                .unwrap_or(false),
        };
        if read {
            self.body_read();
        }
        read && !self.0.lock().is_turned_away
    }

    /// Records that bytes have arrived.
    pub(crate) fn heard(&self) {
        let mut state = self.0.lock();
        if let Phase::Idle(_) = state.phase {
            state.phase = Phase::Head(Instant::now());
        }
    }

    /// Records whether the connection waits for the client to take what is sent.
    pub(crate) fn set_write_waiting(&self, is_waiting: bool) {
        self.0.lock().is_write_waiting = is_waiting;
    }

    /// The time since which the connection waits for the client's next request, if it does.
    pub(crate) fn waiting_since(&self) -> Option<Instant> {
        let state = self.0.lock();
        match state.phase {
            Phase::Idle(since) | Phase::Head(since) if !state.is_write_waiting => Some(since),
            Phase::Idle(_) | Phase::Head(_) | Phase::Busy => None,
        }
    }

    /// The time until which to wait for bytes. If there is no limit, `context` is woken once there is one.
    pub(crate) fn deadline(&self, timeouts: Timeouts, context: &Context<'_>) -> Option<Instant> {
        let mut state = self.0.lock();
        match state.phase {
            Phase::Idle(since) => Some(since + timeouts.idle),
            Phase::Head(since) => Some(since + timeouts.head),
            Phase::Busy => {
                state.waiting = Some(context.waker().clone());
                None
            }
        }
    }
}

/// Reads and drops `body`, and returns whether it came to its end within [`REST`] bytes.
async fn is_short(mut body: Incoming) -> bool {
    let mut left = REST;
    while let Some(frame) = body.frame().await {
        let length = frame.map(|frame| frame.data_ref().map_or(0, Bytes::len) as u64);
        match length.map(|length| left.checked_sub(length)) {
            Ok(Some(rest)) => left = rest,
            Ok(None) | Err(_) => return false,
        }
    }
    true
}

/// Held while a request is being served.
pub(crate) struct Busy(Activity);

impl Drop for Busy {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.0.0.lock();
            state.phase = Phase::Idle(Instant::now());
            state.waiting.take()
        };
        if let Some(waker) = waiting {
            waker.wake();
        }
    }
}

/// The most bytes of an answer that are passed on at once, so that memory is released as the client takes them.
const PIECE: usize = 64 * 1024;

/// Ends when the next part of an answer is not to be waited for. Without an error, the answer is whole as it is.
pub(crate) type EndOfWait = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// The body of an answer. The request is being served until the body has been taken, its client has gone, or the server
/// ends it.
pub(crate) struct BusyBody {
    body: Body,
    end_of_wait: EndOfWait,
    /// The rest of the last part, which was not passed on yet.
    rest: Bytes,
    _busy: Busy,
    _at_work: Arc<AtWork>,
}

impl BusyBody {
    pub(crate) fn new(body: Body, end_of_wait: EndOfWait, busy: Busy, at_work: Arc<AtWork>) -> Self {
        Self {
            body,
            end_of_wait,
            rest: Bytes::new(),
            _busy: busy,
            _at_work: at_work,
        }
    }

    fn next_piece(&mut self) -> Bytes {
        let length = self.rest.len().min(PIECE);
        self.rest.split_to(length)
    }
}

impl HttpBody for BusyBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            let frame = match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => frame,
                Poll::Ready(ended) => return Poll::Ready(ended),
                Poll::Pending => {
                    let ended = ready!(self.end_of_wait.as_mut().poll(context));
                    return Poll::Ready(ended.err().map(|error| Err(axum::Error::new(error))));
                }
            };
            match frame.into_data() {
                Ok(data) if data.is_empty() => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Ok(data) => self.rest = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        Poll::Ready(Some(Ok(Frame::data(self.next_piece()))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (of_body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        if let Some(upper) = of_body.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(of_body.lower() + rest);
        hint
    }
}
