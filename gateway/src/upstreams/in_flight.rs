//! Counts the requests that a replica has in hand: from when one is sent until its answer has been passed on whole.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use axum::body::HttpBody;
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use prometheus::IntGauge;

/// The requests in flight to one replica.
#[derive(Clone)]
pub(super) struct InFlight {
    count: Arc<AtomicUsize>,
    gauge: IntGauge,
}

impl InFlight {
    pub(super) fn new(gauge: IntGauge) -> Self {
        Self {
            count: Arc::default(),
            gauge,
        }
    }

    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// One more, until what is returned is dropped.
    pub(super) fn begin(&self) -> Counted {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.gauge.inc();
        Counted(self.clone())
    }
}

/// A request that is counted.
pub(super) struct Counted(InFlight);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
        self.0.gauge.dec();
    }
}

/// The body of an answer; the request counts as in flight until it is dropped.
pub(super) struct CountedBody {
    body: Incoming,
    _counted: Counted,
}

impl CountedBody {
    pub(super) fn new(body: Incoming, counted: Counted) -> Self {
        Self {
            body,
            _counted: counted,
        }
    }
}

impl HttpBody for CountedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
