//! One HTTP/1 connection to a replica. It has no task of its own: whoever waits for something on it drives it, so that on the way
//! from a request to its answer no other task has to be woken up.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

use futures::task::AtomicWaker;
use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{
        TrySendError,
        http1::{self, SendRequest},
    },
};
use tokio::{
    runtime::{Handle, Id},
    task::unconstrained,
};

use super::{connector::Stream, replayable_body::ReplayableBody};

/// A connection on which nothing, or one request, is under way. It ends when it is dropped.
pub(super) struct Connection {
    sender: SendRequest<ReplayableBody>,
    driver: Box<http1::Connection<Stream, ReplayableBody>>,
    drivers_waker: Arc<DriversWaker>,
    /// Wakes up by `drivers_waker`. Always the same one, whoever drives.
    waker: Waker,
    runtime: Id,
}

/// Wakes up whoever drives a connection now, and nobody once it is idle.
#[derive(Default)]
struct DriversWaker(AtomicWaker);

impl Wake for DriversWaker {
    fn wake(self: Arc<Self>) {
        self.0.wake();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.wake();
    }
}

impl Connection {
    /// Speaks HTTP/1 over a stream of this runtime.
    pub(super) async fn over(stream: Stream) -> hyper::Result<Self> {
        let (sender, driver) = http1::handshake(stream).await?;
        let drivers_waker = Arc::<DriversWaker>::default();
        Ok(Self {
            sender,
            driver: Box::new(driver),
            waker: Arc::clone(&drivers_waker).into(),
            drivers_waker,
            runtime: Handle::current().id(),
        })
    }

    /// The runtime that wakes it up.
    pub(super) fn runtime(&self) -> Id {
        self.runtime
    }

    /// Sends a request, and returns the head of its answer. With it comes the connection, unless that has ended, for whoever reads
    /// the rest.
    ///
    /// # Errors
    /// With the request, if the connection ended before anything of it was sent.
    pub(super) async fn exchange(
        mut self,
        request: Request<ReplayableBody>,
    ) -> Result<(Response<Incoming>, Option<Self>), TrySendError<Request<ReplayableBody>>> {
        // The driver alone completes it, and that is driven right before each look at it. One that was put off for the sake of
        // other tasks would never be looked at again.
        let mut answer = pin!(unconstrained(self.sender.try_send_request(request)));
        let mut connection = Some(self);
        poll_fn(|context| {
            if let Some(driven) = &mut connection
                && driven.poll_end(context).is_ready()
            {
                connection = None;
            }
            let answered = answer.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            answered.map_ok(|response| (response, connection.take()))
        })
        .await
    }

    /// Drives it on, and says whether that was its end.
    pub(super) fn poll_end(&mut self, context: &Context<'_>) -> Poll<()> {
        self.drivers_waker.0.register(context.waker());
        self.drive()
    }

    /// Whether the answer to the last request has been read to its end, and another request may follow.
    pub(super) fn is_idle(&self) -> bool {
        self.sender.is_ready()
    }

    /// Nobody drives it for a while.
    pub(super) fn rest(&self) {
        self.drivers_waker.0.take();
    }

    /// Whether the other side has ended it, as far as this one has heard.
    pub(super) fn has_ended(&mut self) -> bool {
        self.drive().is_ready()
    }

    fn drive(&mut self) -> Poll<()> {
        let mut context = Context::from_waker(&self.waker);
        // What went wrong is told to whoever waits for the answer.
        Pin::new(&mut *self.driver).poll(&mut context).map(drop)
    }
}
