//! The body of a request while it is forwarded: streamed, and available for another replica while nothing was read
//! from it, or while everything that was read is kept.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::{Body, HttpBody};
use bytes::{Bytes, BytesMut};
use futures::task::AtomicWaker;
use http_server::{BodyOverloaded, BodyStalled};
use hyper::body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use crate::error::ForwardError;

/// The time limit for the head of an answer, after the last part of the request was sent. It does not run while the
/// gateway waits for the client to send the next part.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// The most bytes of a body that are kept for sending it again. No command is longer.
const MAX_KEPT: usize = 1024 * 1024;
/// The most kept bytes that are sent again at once.
const PIECE: usize = 64 * 1024;

/// Waits for an answer while the request is being sent, and for [`ANSWER_TIMEOUT`] after that.
pub(crate) async fn in_time<T>(
    body: &ReplayableBody,
    answer: impl Future<Output = T>,
) -> Result<T, ForwardError> {
    within(ANSWER_TIMEOUT, body, answer).await
}

async fn within<T>(
    limit: Duration,
    body: &ReplayableBody,
    answer: impl Future<Output = T>,
) -> Result<T, ForwardError> {
    tokio::select! {
        biased;
        answer = answer => Ok(answer),
        () = overdue(limit, body) => Err(ForwardError::TimedOut),
    }
}

/// Completes when the upstream has had `limit` for its answer, from now or from when the last part of `body` was sent.
pub(super) async fn overdue(limit: Duration, body: &ReplayableBody) {
    let mut since = Instant::now();
    loop {
        sleep_until(since + limit).await;
        let waiting_since = body.waiting_since();
        if waiting_since <= since {
            return;
        }
        since = waiting_since;
    }
}

/// Opens when the upstream has asked for a body with `100 Continue`.
#[derive(Default)]
pub(crate) struct Continue {
    asked: AtomicBool,
    waker: AtomicWaker,
}

impl Continue {
    pub(crate) fn open(&self) {
        self.asked.store(true, Ordering::Release);
        self.waker.wake();
    }

    fn poll_open(&self, context: &Context<'_>) -> Poll<()> {
        self.waker.register(context.waker());
        match self.asked.load(Ordering::Acquire) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

/// A body for several attempts, one after another. Each clone reads it from the beginning.
pub(crate) struct ReplayableBody {
    shared: Arc<Mutex<State>>,
    /// The number of kept bytes that this attempt has read.
    read: usize,
    awaited: Option<Arc<Continue>>,
}

struct State {
    body: Body,
    /// The size of the whole body, before anything was read.
    size: SizeHint,
    /// A copy of what was read, if it is kept. The parts themselves may be tiny, and each keeps the buffer in memory
    /// into which it was read.
    kept: BytesMut,
    keeps: bool,
    /// Whether something was read and not kept.
    lost: bool,
    moved_at: Instant,
    /// Whether the last read waits for the client to send more.
    awaits_client: bool,
    failure: Option<Failure>,
}

#[derive(Clone, Copy)]
enum Failure {
    Stalled,
    Overloaded,
    Broken,
}

impl Clone for ReplayableBody {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), read: 0, awaited: None }
    }
}

impl ReplayableBody {
    /// A body that can be sent again only while nothing was read from it.
    pub(crate) fn new(body: Body) -> Self {
        Self::with(body, false)
    }

    /// A body that can be sent again, if it is short enough.
    pub(crate) fn kept(body: Body) -> Self {
        Self::with(body, true)
    }

    fn with(body: Body, keeps: bool) -> Self {
        let size = body.size_hint();
        Self {
            shared: Arc::new(Mutex::new(State {
                body,
                size,
                kept: BytesMut::new(),
                keeps,
                lost: false,
                moved_at: Instant::now(),
                awaits_client: false,
                failure: None,
            })),
            read: 0,
            awaited: None,
        }
    }

    /// The same body, which is not read before the upstream asks for it.
    pub(crate) fn once_asked_for(self, awaited: Arc<Continue>) -> Self {
        Self { awaited: Some(awaited), ..self }
    }

    /// Whether another attempt could send all of it.
    pub(crate) fn is_whole(&self) -> bool {
        !self.shared.lock().lost
    }

    /// Since when the gateway waits for the upstream: since now, while it waits for the client.
    fn waiting_since(&self) -> Instant {
        let state = self.shared.lock();
        match state.awaits_client {
            true => Instant::now(),
            false => state.moved_at,
        }
    }

    /// The mistake of the client while sending it, if any.
    pub(crate) fn failure(&self) -> Option<ForwardError> {
        self.shared.lock().failure.map(|failure| match failure {
            Failure::Stalled => ForwardError::ClientStalled,
            Failure::Overloaded => ForwardError::Overloaded,
            Failure::Broken => ForwardError::ClientGone,
        })
    }
}

impl State {
    /// Keeps `data`, or stops keeping.
    fn keep(&mut self, data: &[u8]) {
        if self.keeps && self.kept.len() + data.len() <= MAX_KEPT {
            self.kept.extend_from_slice(data);
        } else {
            self.keeps = false;
            self.lost = true;
            self.kept = BytesMut::new();
        }
    }
}

impl HttpBody for ReplayableBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Some(awaited) = &self.awaited {
            ready!(awaited.poll_open(context));
        }
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        if let Some(piece) = state.kept.get(self.read..).and_then(|rest| rest.chunks(PIECE).next()) {
            self.read += piece.len();
            return Poll::Ready(Some(Ok(Frame::data(Bytes::copy_from_slice(piece)))));
        }
        let polled = Pin::new(&mut state.body).poll_frame(context);
        state.awaits_client = polled.is_pending();
        if let Poll::Ready(frame) = &polled {
            state.moved_at = Instant::now();
            match frame {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        state.keep(data);
                        self.read = state.kept.len();
                    }
                }
                Some(Err(error)) => {
                    state.failure = Some(if BodyStalled::caused(error) {
                        Failure::Stalled
                    } else if BodyOverloaded::caused(error) {
                        Failure::Overloaded
                    } else {
                        Failure::Broken
                    });
                }
                None => {}
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        let state = self.shared.lock();
        self.read >= state.kept.len() && state.body.is_end_stream()
    }

    /// The size of the whole body: it is only asked for before anything is read.
    fn size_hint(&self) -> SizeHint {
        self.shared.lock().size
    }
}

#[cfg(test)]
mod tests;
