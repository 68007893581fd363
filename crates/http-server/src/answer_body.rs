//! The body of an answer. It is passed on in small pieces, and what belongs to it is kept until its client has all of
//! it.

use std::{
    io, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::body::Body;
use bytes::{Buf as _, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use crate::{activity::Busy, load::AtWork};

/// The most bytes of an answer that are passed on at once. The memory of a large part is released once its last piece
/// is passed on: what waits for the client then has no more memory than its own.
const PIECE: usize = 64 * 1024;

/// Ends when the next part of an answer is not to be waited for. Without an error, the answer is whole as it is.
pub(crate) type EndOfWait = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// The body of an answer. The request is being served until the client has taken the body or has gone, or the server
/// ends it. A small body counts as taken once hyper has it, since the system takes most of it at once.
pub(crate) struct AnswerBody {
    body: Body,
    end_of_wait: EndOfWait,
    /// The rest of the last part, which was not passed on yet.
    rest: Bytes,
    /// Whether the last part has more than one piece.
    is_cut: bool,
    /// How many bytes were passed on.
    passed_on: usize,
    /// `Some` until it is dropped.
    busy: Option<Busy>,
    at_work: Arc<AtWork>,
}

impl AnswerBody {
    pub(crate) fn new(body: Body, end_of_wait: EndOfWait, busy: Busy, at_work: Arc<AtWork>) -> Self {
        Self { body, end_of_wait, rest: Bytes::new(), is_cut: false, passed_on: 0, busy: Some(busy), at_work }
    }

    /// The next piece of the last part. Pieces of a large part are copied: otherwise each of them, while it waits for
    /// the client, would keep the memory of the whole part.
    fn next_piece(&mut self) -> Bytes {
        let length = self.rest.len().min(PIECE);
        self.passed_on += length;
        if !self.is_cut {
            return mem::take(&mut self.rest);
        }
        let piece = Bytes::copy_from_slice(&self.rest[..length]);
        self.rest.advance(length);
        if self.rest.is_empty() {
            // It still refers to the memory of the part.
            self.rest = Bytes::new();
        }
        piece
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            let frame = match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => frame,
                Poll::Ready(ended) => return Poll::Ready(ended),
                Poll::Pending => {
                    let ended = ready!(self.end_of_wait.as_mut().poll(context));
                    return Poll::Ready(ended.err().map(|error| Err(axum::Error::new(error))));
                }
            };
            match frame.into_data() {
                Ok(data) if data.is_empty() => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Ok(data) => {
                    self.is_cut = data.len() > PIECE;
                    self.rest = data;
                }
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        Poll::Ready(Some(Ok(Frame::data(self.next_piece()))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (of_body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        if let Some(upper) = of_body.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(of_body.lower() + rest);
        hint
    }
}

impl Drop for AnswerBody {
    /// Hyper drops a body when its last piece is in the queue, of which the client may not take anything for long. The
    /// body itself may hold guards, too.
    fn drop(&mut self) {
        if self.passed_on > PIECE
            && let Some(busy) = self.busy.take()
        {
            let activity = busy.activity().clone();
            let guards = (mem::take(&mut self.body), busy, Arc::clone(&self.at_work));
            activity.keep_until_sent(Box::new(guards));
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::{
        activity::Activity, caller_bytes::CallerBytes, connection_metrics::ConnectionMetrics, load::Load,
        options::ServerOptions,
    };

    /// A body of one part that holds a guard until it is dropped.
    struct Guarded {
        part: Option<Bytes>,
        _guard: Arc<()>,
    }

    impl HttpBody for Guarded {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
            Poll::Ready(self.part.take().map(|part| Ok(Frame::data(part))))
        }

        fn is_end_stream(&self) -> bool {
            self.part.is_none()
        }
    }

    struct Answer {
        /// `Some` until hyper drops it.
        body: Option<AnswerBody>,
        activity: Activity,
        caller: CallerBytes,
        guard: Arc<()>,
    }

    impl Answer {
        fn new(part: &Bytes) -> Self {
            let (activity, caller, guard) = (Activity::new(), CallerBytes::default(), Arc::new(()));
            let load = Load::new(&ServerOptions::default(), ConnectionMetrics::new());
            let at_work = load.begin().0;
            at_work.count_for(&caller, [192, 0, 2, 1].into());
            assert!(at_work.answer(part.len()));
            let body = Body::new(Guarded { part: Some(part.clone()), _guard: Arc::clone(&guard) });
            let end_of_wait = Box::pin(std::future::pending::<io::Result<()>>());
            let busy = activity.busy(true);
            Self { body: Some(AnswerBody::new(body, end_of_wait, busy, at_work)), activity, caller, guard }
        }

        /// Takes the whole body and drops it, as hyper does before the client has it.
        async fn pieces(&mut self) -> Vec<Bytes> {
            let mut pieces = Vec::new();
            if let Some(mut body) = self.body.take() {
                while let Some(Ok(frame)) = body.frame().await {
                    pieces.extend(frame.into_data());
                }
            }
            pieces
        }

        /// The bytes of the caller, whether the guard is held, and whether a request is being served.
        fn held(&self) -> (usize, bool, bool) {
            let is_held = Arc::strong_count(&self.guard) > 1;
            (self.caller.add(0), is_held, self.activity.waiting_since().is_none())
        }
    }

    fn part(length: usize) -> Bytes {
        Bytes::from(vec![b'x'; length])
    }

    #[tokio::test]
    async fn pieces_that_wait_for_the_client_do_not_keep_the_whole_part() {
        let part = part(3 * PIECE + 1);
        let mut answer = Answer::new(&part);
        let pieces = answer.pieces().await;
        assert!(pieces.iter().all(|piece| piece.len() <= PIECE));
        assert_eq!(pieces.concat(), part);
        assert!(part.is_unique(), "nobody else has its memory");
    }

    #[tokio::test]
    async fn a_part_of_one_piece_is_not_copied() {
        let part = part(PIECE);
        let pieces = Answer::new(&part).pieces().await;
        assert_eq!(pieces.len(), 1);
        assert_eq!(pieces[0].as_ptr(), part.as_ptr());
    }

    #[tokio::test]
    async fn a_large_answer_counts_until_it_is_sent() {
        let part = part(2 * PIECE);
        let mut answer = Answer::new(&part);
        answer.pieces().await;
        assert_eq!(answer.held(), (part.len(), true, true));
        answer.activity.sent();
        assert_eq!(answer.held(), (0, false, false));
    }

    #[tokio::test]
    async fn a_small_answer_counts_until_it_is_passed_on() {
        let mut answer = Answer::new(&part(PIECE));
        answer.pieces().await;
        assert_eq!(answer.held(), (0, false, false));
    }

    #[tokio::test]
    async fn an_answer_counts_no_longer_than_its_connection() {
        let part = part(2 * PIECE);
        for closes_first in [false, true] {
            let mut answer = Answer::new(&part);
            if closes_first {
                answer.activity.closed();
            }
            answer.pieces().await;
            assert_eq!(answer.held().1, !closes_first);
            answer.activity.closed();
            assert_eq!(answer.held(), (0, false, false));
        }
    }

    #[tokio::test]
    async fn the_end_of_an_answer_does_not_end_the_next_request() {
        let mut answer = Answer::new(&part(2 * PIECE));
        answer.pieces().await;
        let next = answer.activity.busy(true);
        answer.activity.sent();
        assert_eq!(answer.held(), (0, false, true));
        drop(next);
        assert_eq!(answer.held(), (0, false, false));
    }
}
