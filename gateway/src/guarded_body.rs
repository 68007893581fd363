//! The body of an answer that keeps a guard, such as a place among the requests in flight, until it has been passed on whole or given
//! up.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::HttpBody;
use hyper::body::{Frame, SizeHint};

/// A body, and what is dropped with it.
pub(crate) struct HeldBody<B, Held> {
    body: B,
    _held: Held,
}

impl<B, Held> HeldBody<B, Held> {
    pub(crate) fn new(body: B, held: Held) -> Self {
        Self { body, _held: held }
    }
}

impl<B: HttpBody + Unpin, Held: Unpin> HttpBody for HeldBody<B, Held> {
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
