//! What a connection is doing (idle, reading a head, serving a request), and with it which timeout applies.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::time::Instant;

use crate::{head::Refusal, load::AtWork};

/// The most bytes that are read of a body that nobody wants, so that the connection can go on.
const REST: u64 = 16 * 1024;
/// How soon the rest of a body that nobody wants must come, so that the connection can go on.
const REST_WITHIN: Duration = Duration::from_millis(500);

/// How long a connection may wait, and for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    /// For a head that has begun, and for the first one.
    pub(crate) head: Duration,
    /// Between two requests.
    pub(crate) idle: Duration,
    /// For the client to take the next part of what is being sent.
    pub(crate) write: Duration,
    /// For the client to take all of one answer, as far as it is the client who is waited for.
    pub(crate) answer: Duration,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// The last answer is on its way, nothing of a next request has come.
    Idle(Instant),
    /// A request is awaited or has begun, its head is not complete.
    Head(Instant),
    /// A request is being served.
    Busy,
}

/// What a connection is doing. Shared by its socket, which waits, and its service, which works.
#[derive(Clone)]
pub(crate) struct Activity(Arc<Mutex<State>>);

struct State {
    phase: Phase,
    /// Of a socket that waits without a bound, because a request is being served.
    waiting: Option<Waker>,
    body: RequestBody,
    /// Of the request that comes next.
    refusal: Option<Refusal>,
    /// This connection ends with its first request, which is refused.
    is_turned_away: bool,
    /// The client does not take what is sent to it.
    is_write_waiting: bool,
}

/// What has become of the body of the last request.
enum RequestBody {
    /// Read to its end, if there was one.
    Read,
    /// It may still be read.
    Held,
    /// Dropped before its end.
    Left(Incoming),
    /// The client may still be sending what nobody wants.
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

    /// A request's head has been read; it is being served until the guard is dropped.
    pub(crate) fn busy(&self, has_no_body: bool) -> Busy {
        let mut state = self.state();
        state.phase = Phase::Busy;
        state.body = if has_no_body {
            RequestBody::Read
        } else {
            RequestBody::Held
        };
        Busy(self.clone())
    }

    /// The request's body has been read to its end.
    pub(crate) fn body_read(&self) {
        self.state().body = RequestBody::Read;
    }

    /// The request's body was dropped before its end.
    pub(crate) fn body_left(&self, rest: Incoming) {
        self.state().body = RequestBody::Left(rest);
    }

    /// Nobody has asked for the request's body, and the client waits until somebody does.
    pub(crate) fn body_refused(&self) {
        self.state().body = RequestBody::Refused;
    }

    /// Whether the request's body has been read to its end, or nobody will read it.
    pub(crate) fn is_body_read(&self) -> bool {
        matches!(self.state().body, RequestBody::Read)
    }

    /// The next request that the service gets to see stands in for one that was refused.
    pub(crate) fn refuse(&self, refusal: Refusal) {
        self.state().refusal = Some(refusal);
    }

    /// Nothing is done on this connection: its first request is refused, and it ends. The first reason for that counts.
    pub(crate) fn turn_away(&self, refusal: Refusal) {
        let mut state = self.state();
        state.is_turned_away = true;
        state.refusal.get_or_insert(refusal);
    }

    /// Why the request that the service got was refused, if it was. The connection ends with it.
    pub(crate) fn take_refusal(&self) -> Option<Refusal> {
        let mut state = self.state();
        let refusal = state.refusal.take()?;
        state.body = RequestBody::Refused;
        Some(refusal)
    }

    /// Whether the connection can serve another request after this one: not behind a body that nobody has read. What
    /// is left of a small one is read here.
    pub(crate) async fn can_go_on(&self) -> bool {
        let body = std::mem::replace(&mut self.state().body, RequestBody::Refused);
        let read = match body {
            RequestBody::Read => true,
            RequestBody::Held | RequestBody::Refused => false,
            RequestBody::Left(rest) if rest.size_hint().lower() > REST => false,
            RequestBody::Left(rest) => {
                let reading = Limited::new(rest, REST as usize).collect();
                matches!(tokio::time::timeout(REST_WITHIN, reading).await, Ok(Ok(_)))
            }
        };
        if read {
            self.body_read();
        }
        read && !self.state().is_turned_away
    }

    /// Bytes have come.
    pub(crate) fn heard(&self) {
        let mut state = self.state();
        if let Phase::Idle(_) = state.phase {
            state.phase = Phase::Head(Instant::now());
        }
    }

    /// Says whether the client is waited for to take what is sent.
    pub(crate) fn set_write_waiting(&self, is_waiting: bool) {
        self.state().is_write_waiting = is_waiting;
    }

    /// Since when the client has been waited for to ask for something, if that is what the connection waits for.
    pub(crate) fn waiting_since(&self) -> Option<Instant> {
        let state = self.state();
        match state.phase {
            Phase::Idle(since) | Phase::Head(since) if !state.is_write_waiting => Some(since),
            Phase::Idle(_) | Phase::Head(_) | Phase::Busy => None,
        }
    }

    /// Until when to wait for bytes. Without a bound, `context` is woken once there is one.
    pub(crate) fn deadline(&self, timeouts: Timeouts, context: &Context<'_>) -> Option<Instant> {
        let mut state = self.state();
        match state.phase {
            Phase::Idle(since) => Some(since + timeouts.idle),
            Phase::Head(since) => Some(since + timeouts.head),
            Phase::Busy => {
                state.waiting = Some(context.waker().clone());
                None
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held while a request is being served.
pub(crate) struct Busy(Activity);

impl Drop for Busy {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.0.state();
            state.phase = Phase::Idle(Instant::now());
            state.waiting.take()
        };
        if let Some(waker) = waiting {
            waker.wake();
        }
    }
}

/// What is handed on at once of an answer, so that as much is let go of when the client has taken it.
const PIECE: usize = 64 * 1024;

/// Ends when there is nobody any more for whom to wait for the next part of an answer.
pub(crate) type Gone = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The body of an answer; the request is being served until it has been taken, or its client has gone.
pub(crate) struct BusyBody {
    body: Body,
    gone: Gone,
    /// Of the last part of it, what has not been handed on.
    rest: Bytes,
    _busy: Busy,
    _at_work: Arc<AtWork>,
}

impl BusyBody {
    pub(crate) fn new(body: Body, gone: Gone, busy: Busy, at_work: Arc<AtWork>) -> Self {
        Self {
            body,
            gone,
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
                    ready!(self.gone.as_mut().poll(context));
                    let gone = io::Error::from(io::ErrorKind::ConnectionReset);
                    return Poll::Ready(Some(Err(axum::Error::new(gone))));
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
