//! A body that holds a guard until it has been sent or dropped. Knows nothing of the guard.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::HttpBody;
use hyper::body::{Frame, SizeHint};

/// The body of an answer, and a guard that is dropped with it, such as a place among the requests in flight.
pub struct GuardedBody<B, Guard> {
    body: B,
    _guard: Guard,
}

impl<B, Guard> GuardedBody<B, Guard> {
    /// `guard` is dropped together with `body`.
    #[must_use]
    pub fn new(body: B, guard: Guard) -> Self {
        Self { body, _guard: guard }
    }
}

impl<B: HttpBody + Unpin, Guard: Unpin> HttpBody for GuardedBody<B, Guard> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
