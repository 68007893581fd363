//! The state of a connection (idle, reading a head, serving a request), which decides which timeout applies.

use std::{
    io,
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::head::Refusal;

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
    /// For the client to take the next part of an answer, which is not just any byte.
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
    /// The number of requests so far.
    requests: u64,
    /// The waker of a socket that waits without a limit, because a request is being served.
    waiting: Option<Waker>,
    body: RequestBody,
    /// The refusal of the next request.
    refusal: Option<Refusal>,
    /// Whether the connection ends with the next answer.
    is_turned_away: bool,
    /// While the client does not take what is sent to it: since when it is slow, and the waker of the socket.
    blocked: Option<(Instant, Waker)>,
    /// Whether the answer that is being sent will not be sent to its end.
    is_cut_off: bool,
    /// The guards of an answer of which hyper has all and the client has not.
    unsent: Option<Guards>,
    /// The guards of the parts of an answer that were passed on, and were not all sent yet.
    unsent_parts: Option<Guards>,
    /// Whether the socket was dropped, so that nothing more is sent.
    is_closed: bool,
}

/// What belongs to an answer and is released when it is dropped.
type Guards = Box<dyn Send>;

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
            requests: 0,
            waiting: None,
            body: RequestBody::Read,
            refusal: None,
            is_turned_away: false,
            blocked: None,
            is_cut_off: false,
            unsent: None,
            unsent_parts: None,
            is_closed: false,
        })))
    }

    /// Records that a head was read. The request is being served until the guard is dropped.
    pub(crate) fn busy(&self, has_no_body: bool) -> Busy {
        let mut state = self.0.lock();
        state.phase = Phase::Busy;
        state.requests += 1;
        state.body = if has_no_body { RequestBody::Read } else { RequestBody::Held };
        Busy { activity: self.clone(), request: state.requests }
    }

    /// Keeps `guards` of an answer until all that was written before is sent, or the connection has ended. Those of an
    /// earlier answer are dropped: hyper begins an answer when its queue is empty, so the earlier one is not in it.
    pub(crate) fn keep_until_sent(&self, guards: Guards) {
        self.keep(guards, |state| &mut state.unsent);
    }

    /// Keeps `guards` of parts of an answer that goes on, like those of a whole one.
    pub(crate) fn keep_parts_until_sent(&self, guards: Guards) {
        self.keep(guards, |state| &mut state.unsent_parts);
    }

    /// Keeps `guards` in a place of the state, unless nothing more will be sent.
    fn keep(&self, guards: Guards, place: impl FnOnce(&mut State) -> &mut Option<Guards>) {
        let dropped = {
            let mut state = self.0.lock();
            match state.is_closed {
                true => Some(guards),
                false => place(&mut state).replace(guards),
            }
        };
        // Guards may use the state when they are dropped.
        drop(dropped);
    }

    /// Records that all that was written is sent.
    pub(crate) fn sent(&self) {
        let guards = {
            let mut state = self.0.lock();
            state.is_cut_off = false;
            (state.unsent_parts.take(), state.unsent.take())
        };
        drop(guards);
    }

    /// Records that nothing more will be sent.
    pub(crate) fn closed(&self) {
        self.0.lock().is_closed = true;
        self.sent();
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
            RequestBody::Left(rest) => {
                tokio::time::timeout(REST_TIMEOUT, is_short(rest)).await.unwrap_or(false)
            }
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

    /// Records that the connection waits for the client to take what is sent. `slow_since` is the time since which it
    /// would have waited, if it had done so without a break since the client last took a part of some size: time in
    /// which there was nothing to send does not count.
    ///
    /// # Errors
    /// When the answer is cut off.
    pub(crate) fn wait_for_client(&self, slow_since: Instant, context: &Context<'_>) -> io::Result<()> {
        let mut state = self.0.lock();
        if state.is_cut_off {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        state.blocked = Some((slow_since, context.waker().clone()));
        Ok(())
    }

    /// Records that the client has taken something.
    pub(crate) fn client_took(&self) {
        self.0.lock().blocked = None;
    }

    /// The time since which the client takes little of the answer, if it is waited for.
    pub(crate) fn slow_since(&self) -> Option<Instant> {
        self.0.lock().blocked.as_ref().map(|(since, _)| *since)
    }

    /// Ends the connection if it waits for the client to take an answer. Returns whether it does.
    pub(crate) fn cut_off(&self) -> bool {
        let mut state = self.0.lock();
        let Some((_, waker)) = &state.blocked else {
            return false;
        };
        waker.wake_by_ref();
        state.is_cut_off = true;
        true
    }

    /// The time since which the connection waits for the client's next request, if it does.
    pub(crate) fn waiting_since(&self) -> Option<Instant> {
        let state = self.0.lock();
        match state.phase {
            Phase::Idle(since) | Phase::Head(since) if state.blocked.is_none() => Some(since),
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
pub(crate) struct Busy {
    activity: Activity,
    /// The number of the request.
    request: u64,
}

impl Busy {
    pub(crate) fn activity(&self) -> &Activity {
        &self.activity
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.activity.0.lock();
            if state.requests > self.request {
                // The next one is being served already.
                return;
            }
            state.phase = Phase::Idle(Instant::now());
            state.waiting.take()
        };
        if let Some(waker) = waiting {
            waker.wake();
        }
    }
}
