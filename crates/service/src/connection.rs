//! The bytes of one connection, with a bound on every wait: for the next request, for its head, for the client
//! to take the answer.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep},
};

/// So much of a body that nobody wants is read, so that the connection can go on,
const REST: u64 = 16 * 1024;
/// if it comes soon.
const REST_WITHIN: Duration = Duration::from_millis(500);
/// How long a client that still sends may take to notice that nobody listens.
const LINGER: Duration = Duration::from_secs(2);
/// Reads in a row while lingering.
const LINGER_READS: usize = 16;

/// How long a connection may wait, and for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// For a head that has begun, and for the first one.
    pub(crate) head: Duration,
    /// Between two requests.
    pub(crate) idle: Duration,
    /// For the client to take what is being sent.
    pub(crate) write: Duration,
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
    fn heard(&self) {
        let mut state = self.state();
        if let Phase::Idle(_) = state.phase {
            state.phase = Phase::Head(Instant::now());
        }
    }

    /// Until when to wait for bytes. Without a bound, `context` is woken once there is one.
    fn deadline(&self, patience: Patience, context: &Context<'_>) -> Option<Instant> {
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

/// A socket whose waits end in `TimedOut`.
pub(crate) struct Socket {
    stream: TcpStream,
    patience: Patience,
    activity: Activity,
    read_timer: Pin<Box<Sleep>>,
    write_timer: Option<Pin<Box<Sleep>>>,
    /// Set once this side has sent its last byte.
    linger_timer: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream, patience: Patience, activity: Activity) -> Self {
        let read_timer = Box::pin(tokio::time::sleep(patience.head));
        Self {
            stream,
            patience,
            activity,
            read_timer,
            write_timer: None,
            linger_timer: None,
        }
    }

    /// Throws away what the client still sends, for a while: closing before it has been received would reset the
    /// connection, and the client would lose the answer that says why its body was not wanted.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let timer = self
            .linger_timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)));
        if matches!(self.activity.state().body, RequestBody::Read) || timer.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(());
        }
        let mut space = [MaybeUninit::uninit(); 16 * 1024];
        for _ in 0..LINGER_READS {
            let mut buffer = ReadBuf::uninit(&mut space);
            match ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                _ => return Poll::Ready(()),
            }
        }
        // Others have their turn.
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether the wait for bytes has lasted too long. The timer is only moved when it would fire too late, or
    /// has fired too early, so that a busy connection costs it nothing.
    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            let Some(deadline) = self.activity.deadline(self.patience, context) else {
                return Poll::Pending;
            };
            if self.read_timer.deadline() > deadline {
                self.read_timer.as_mut().reset(deadline);
            }
            ready!(self.read_timer.as_mut().poll(context));
            if Instant::now() >= deadline {
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
            self.read_timer.as_mut().reset(deadline);
        }
    }

    fn bound_write(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.write_timer = None;
            return written;
        }
        let write = self.patience.write;
        let timer = self
            .write_timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(write)));
        timer
            .as_mut()
            .poll(context)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            self.activity.heard();
            return read;
        }
        self.poll_patience(context).map(Err)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.bound_write(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.bound_write(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger_timer.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
        }
        self.poll_linger(context).map(Ok)
    }
}
