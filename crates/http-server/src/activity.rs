//! What a connection is doing. Its socket waits accordingly, and its service works accordingly.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::time::Instant;

use crate::head::Refusal;

/// So much of a body that nobody wants is read, so that the connection can go on,
const REST: u64 = 16 * 1024;
/// if it comes soon.
const REST_WITHIN: Duration = Duration::from_millis(500);

/// How long a connection may wait, and for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
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
        })))
    }

    /// A request's head has been read; it is being served until the guard is dropped.
    pub(crate) fn busy(&self, body: &Incoming) -> Busy {
        let mut state = self.state();
        state.phase = Phase::Busy;
        state.body = if body.is_end_stream() {
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
        read
    }

    /// Bytes have come.
    pub(crate) fn heard(&self) {
        let mut state = self.state();
        if let Phase::Idle(_) = state.phase {
            state.phase = Phase::Head(Instant::now());
        }
    }

    /// Until when to wait for bytes. Without a bound, `context` is woken once there is one.
    pub(crate) fn deadline(&self, patience: Patience, context: &Context<'_>) -> Option<Instant> {
        let mut state = self.state();
        match state.phase {
            Phase::Idle(since) => Some(since + patience.idle),
            Phase::Head(since) => Some(since + patience.head),
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

/// The body of an answer; the request is being served until it has been taken.
pub(crate) struct BusyBody {
    body: Body,
    _busy: Busy,
}

impl BusyBody {
    pub(crate) fn new(body: Body, busy: Busy) -> Self {
        Self { body, _busy: busy }
    }
}

impl HttpBody for BusyBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
