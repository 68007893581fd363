//! The body of a request. One that stalls ends with an error.

use std::{
    error::Error,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::{activity::Activity, load::AtWork};

/// The client stopped sending the body, or sends it too slowly.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the body of the request took too long to arrive")]
pub struct BodyStalled;

/// There is no memory left for more of the body.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("there is too much to do to receive the body of the request")]
pub struct BodyOverloaded;

impl BodyOverloaded {
    /// Whether `error` has this cause.
    pub fn caused(error: &(dyn Error + 'static)) -> bool {
        is_caused_by::<Self>(error)
    }
}

impl BodyStalled {
    /// Whether `error` has this cause.
    pub fn caused(error: &(dyn Error + 'static)) -> bool {
        is_caused_by::<Self>(error)
    }
}

fn is_caused_by<E: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<E>() {
            return true;
        }
        next = error.source();
    }
    false
}

/// A body that must make progress every `stall`, and end within `total`.
pub(crate) struct TimedBody {
    /// `Some` until its end.
    body: Option<Incoming>,
    activity: Activity,
    /// Whether the client sends it only after `100 Continue`.
    awaited: bool,
    stall: Duration,
    ends_by: Instant,
    at_work: Arc<AtWork>,
    /// Armed only while waiting.
    timer: Option<Pin<Box<Sleep>>>,
}

impl TimedBody {
    /// Wraps a body. `awaited`: the client sends it only after `100 Continue` (`Expect: 100-continue`).
    pub(crate) fn new(
        body: Incoming,
        activity: Activity,
        awaited: bool,
        stall: Duration,
        total: Duration,
        at_work: Arc<AtWork>,
    ) -> Self {
        Self {
            body: Some(body),
            activity,
            awaited,
            stall,
            ends_by: Instant::now() + total,
            at_work,
            timer: None,
        }
    }
}

impl Drop for TimedBody {
    fn drop(&mut self) {
        if let Some(body) = self.body.take() {
            if body.is_end_stream() {
                self.activity.body_read();
            } else if self.awaited {
                self.activity.body_refused();
            } else {
                self.activity.body_left(body);
            }
        }
    }
}

impl Body for TimedBody {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.awaited = false;
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(context) {
            self.timer = None;
            let received = match &frame {
                Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
                Some(Err(_)) => 0,
                None => {
                    self.body = None;
                    self.activity.body_read();
                    0
                }
            };
            if !self.at_work.receive(received) {
                return Poll::Ready(Some(Err(BodyOverloaded.into())));
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let deadline = (Instant::now() + self.stall).min(self.ends_by);
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        timer.as_mut().poll(context).map(|()| Some(Err(BodyStalled.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
