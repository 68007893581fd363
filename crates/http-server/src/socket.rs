//! The bytes of one connection, with a bound on every wait: for the next request, for its head, for the client
//! to take the answer.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::BufMut as _;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::{TcpStream, tcp::OwnedWriteHalf},
    time::{Instant, Sleep},
};

use crate::{
    activity::{Activity, Timeouts},
    head::{HeadLimits, Refusal},
    head_gate::HeadGate,
    transport::Transport,
};

/// How long the server reads on after its last byte, so that a client that still sends gets the answer.
const LINGER: Duration = Duration::from_secs(2);
/// The most bytes of a body in one read. Hyper's buffer grows with the size of a read, and stays for the whole body.
const BODY_READ: usize = 16 * 1024;
/// The bytes of an answer that its client has to take within the time limit for its next part, once it lets this side
/// wait. A client on a line of 56 kbit/s takes thirteen times as many in 30 seconds.
const LEAST_TAKEN: usize = 16 * 1024;
/// The most reads in a row while lingering.
const LINGER_READS: usize = 16;
/// How long a client that has closed its side still gets answers: it may only mean that it sends no more requests.
const HALF_CLOSED: Duration = Duration::from_secs(3);
/// The pause between two checks of a connection with unread data.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// A socket with limited waits, which only passes on heads that hyper accepts.
pub(crate) struct Socket {
    transport: Transport,
    gate: HeadGate,
    timeouts: Timeouts,
    activity: Activity,
    read_timer: Pin<Box<Sleep>>,
    write_timer: Option<Pin<Box<Sleep>>>,
    /// While a write waits for the client: the time since when.
    write_since: Instant,
    /// How long writes of the current answer have waited for the client.
    waited: Duration,
    /// How long they have waited since the client last had taken [`LEAST_TAKEN`].
    slow: Duration,
    /// The bytes that the client has taken since then.
    taken: usize,
    /// Set once this side has sent its last byte.
    linger_timer: Option<Pin<Box<Sleep>>>,
}

/// The connection of a request, for its service.
#[derive(Clone)]
pub(crate) struct Peer(Arc<OwnedWriteHalf>);

impl Peer {
    /// Ends when the client has gone: at once after a reset, a while after it has closed its side.
    pub(crate) async fn hung_up(&self) {
        self.closed().await;
        tokio::select! {
            () = self.reset() => {}
            () = tokio::time::sleep(HALF_CLOSED) => {}
        }
    }

    /// Ends when the client has closed its side, or reset the connection.
    pub(crate) async fn closed(&self) {
        loop {
            match self.0.ready(Interest::READABLE).await {
                // The next request has already arrived.
                Ok(ready) if !ready.is_read_closed() => tokio::time::sleep(POLL_INTERVAL).await,
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// Ends when the connection was reset, once the client has closed its side.
    pub(crate) async fn reset(&self) {
        let stream: &TcpStream = self.0.as_ref().as_ref();
        while !stream.ready(Interest::WRITABLE).await.is_ok_and(|ready| ready.is_write_closed()) {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

impl Socket {
    pub(crate) fn new(
        transport: Transport,
        limits: HeadLimits,
        timeouts: Timeouts,
        activity: Activity,
    ) -> Self {
        Self {
            transport,
            gate: HeadGate::new(limits),
            timeouts,
            activity,
            read_timer: Box::pin(tokio::time::sleep(timeouts.head)),
            write_timer: None,
            write_since: Instant::now(),
            waited: Duration::ZERO,
            slow: Duration::ZERO,
            taken: 0,
            linger_timer: None,
        }
    }

    pub(crate) fn peer(&self) -> Peer {
        Peer(self.transport.watched())
    }

    /// Waits for the head of the first request, which is then read from this socket like every other, or for the end of
    /// the connection.
    ///
    /// # Errors
    /// When the connection breaks, or nothing has come in time.
    pub(crate) async fn first_head(&mut self) -> io::Result<()> {
        poll_fn(|context| self.poll_head(context)).await
    }

    /// Throws away what the client still sends, for a while: closing before it has been received would reset the
    /// connection, and the client would lose the answer that says why its body was not wanted.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let timer = self.linger_timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)));
        if self.activity.is_body_read() || timer.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        for _ in 0..LINGER_READS {
            let mut space = [0; 16 * 1024];
            match ready!(self.transport.poll_read_raw(context, &mut &mut space[..])) {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Poll::Ready(()),
            }
        }
        // Lets other tasks run.
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether the wait for bytes has taken too long. The timer is only moved when it would fire too late, or has
    /// fired too early, so that a busy connection does not pay for it.
    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(deadline) = self.activity.deadline(self.timeouts, context) else {
                return Poll::Pending;
            };
            if self.read_timer.deadline() > deadline {
                self.read_timer.as_mut().reset(deadline);
            }
            // A client that sends so fast that reading uses up the task's budget gets no more time: the timer cannot be
            // waited for then, but it can be asked.
            if self.read_timer.as_mut().poll(context).is_pending() && !self.read_timer.is_elapsed() {
                return Poll::Pending;
            }
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            self.read_timer.as_mut().reset(deadline);
        }
    }

    /// Reads a head until it can be handed on, or is refused.
    fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.gate.awaits_head() {
            // The buffer may already have a whole head, sent right after the last request.
            if let Some(refusal) = self.gate.judge() {
                self.activity.refuse(refusal);
            }
            if !self.gate.awaits_head() {
                break;
            }
            let read = self.transport.poll_read(context, &mut self.gate.space());
            let refusal = match read {
                Poll::Ready(Ok(0)) if self.gate.has_begun() => {
                    Refusal::Malformed("the connection was closed before the end of the head")
                }
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(_)) => {
                    self.activity.heard();
                    continue;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    ready!(self.poll_patience(context));
                    if !self.gate.has_begun() {
                        return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                    }
                    Refusal::TimedOut
                }
            };
            self.gate.refuse();
            self.activity.refuse(refusal);
        }
        (self.waited, self.slow, self.taken) = (Duration::ZERO, Duration::ZERO, 0);
        Poll::Ready(Ok(()))
    }

    /// Limits the wait for the client to take data; `written` is the result of a write.
    fn bound_write<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            if self.write_timer.take().is_some() {
                self.activity.client_took();
                let waited = self.write_since.elapsed();
                self.waited += waited;
                self.slow += waited;
            }
            return written;
        }
        if self.write_timer.is_none() {
            self.write_since = Instant::now();
        }
        let slow_since = self.write_since.checked_sub(self.slow);
        self.activity.wait_for_client(slow_since.unwrap_or(self.write_since), context)?;
        let left = self.timeouts.answer.saturating_sub(self.waited);
        let limit = self.timeouts.write.saturating_sub(self.slow).min(left);
        let timer = self.write_timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        timer.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Limits the wait for the client to take bytes of an answer, and counts those that it takes.
    fn bound_answer(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let written = self.bound_write(context, written);
        if let Poll::Ready(Ok(bytes)) = written {
            self.taken += bytes;
            if self.taken >= LEAST_TAKEN {
                (self.slow, self.taken) = (Duration::ZERO, 0);
            }
        }
        written
    }
}

impl Drop for Socket {
    /// Hyper drops the socket before the body of an answer.
    fn drop(&mut self) {
        self.activity.closed();
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.gate.hand_on(buffer) || this.gate.is_closed() {
            return Poll::Ready(Ok(()));
        }
        if this.gate.awaits_head() {
            ready!(this.poll_head(context))?;
            this.gate.hand_on(buffer);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read =
            this.transport.poll_read(context, &mut (&mut *buffer).limit(this.gate.limit().min(BODY_READ)));
        let Poll::Ready(read) = read else {
            return this.poll_patience(context).map(|()| Err(io::ErrorKind::TimedOut.into()));
        };
        read?;
        let of_body = this.gate.read_past(&buffer.filled()[before..]);
        buffer.set_filled(before + of_body);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.transport.writer().poll_write(context, bytes);
        self.bound_answer(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.transport.writer().poll_write_vectored(context, slices);
        self.bound_answer(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        // TCP and TLS both accept several slices at once.
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.transport.writer().poll_flush(context);
        let flushed = self.bound_write(context, flushed);
        // Hyper flushes once its queue is empty.
        if let Poll::Ready(Ok(())) = flushed {
            self.activity.sent();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger_timer.is_none() {
            let ended = self.transport.writer().poll_shutdown(context);
            ready!(self.bound_write(context, ended))?;
        }
        self.poll_linger(context).map(Ok)
    }
}

#[cfg(test)]
mod tests;
