//! The body of an upstream's answer: whoever reads it drives the connection that it comes over.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use axum::body::HttpBody;
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};

use super::{connection::Connection, idle_connections::IdleConnections};

/// A body. Its connection is kept for other requests once it has been read to its end, and closed when it is dropped before.
pub(super) struct AnswerBody {
    body: Incoming,
    /// There as long as something of the body may still come over it.
    connection: Option<Connection>,
    idle: Arc<IdleConnections>,
}

impl AnswerBody {
    /// Without a connection, all that comes of `body` has come.
    pub(super) fn new(body: Incoming, connection: Option<Connection>, idle: Arc<IdleConnections>) -> Self {
        let mut this = Self {
            body,
            connection,
            idle,
        };
        let has_come = this.connection.as_ref().is_some_and(Connection::is_idle);
        if has_come || this.body.is_end_stream() {
            this.let_go();
        }
        this
    }

    /// Nothing more comes over the connection. On one that still waits to send a request, no other may follow.
    fn let_go(&mut self) {
        if let Some(connection) = self.connection.take()
            && connection.is_idle()
        {
            self.idle.keep(connection);
        }
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        let Some(connection) = &mut this.connection else {
            return Pin::new(&mut this.body).poll_frame(context);
        };
        // Only the connection brings more of it, and that wakes up by `context`.
        let mut unheard = Context::from_waker(Waker::noop());
        let mut polled = Pin::new(&mut this.body).poll_frame(&mut unheard);
        if polled.is_pending() {
            if connection.poll_end(context).is_ready() {
                this.connection = None;
            }
            polled = Pin::new(&mut this.body).poll_frame(&mut unheard);
        }
        let frame = ready!(polled);
        if !matches!(frame, Some(Ok(_))) || this.body.is_end_stream() {
            this.let_go();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
