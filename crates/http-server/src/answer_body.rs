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

/// There is no memory for the next part of an answer. The client sees that the answer is not whole.
#[derive(Debug, thiserror::Error)]
#[error("there is too much to do to send the next part of an answer")]
struct PartOverloaded;

/// The body of an answer. The request is being served until the client has taken the body or has gone, or the server
/// ends it. A small body counts as taken once hyper has it, since the system takes most of it at once. What was not
/// counted with the head of the answer, because its length was not known, is counted part by part.
pub(crate) struct AnswerBody {
    body: Body,
    /// Whether the answer may end early when there is no memory for its next part. Not for answers to commands.
    is_read: bool,
    end_of_wait: EndOfWait,
    /// How many of the next bytes were counted with the head.
    announced: usize,
    /// How many bytes of the last part were not, and are counted since it came.
    counted: usize,
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
    pub(crate) fn new(
        body: Body,
        is_read: bool,
        end_of_wait: EndOfWait,
        busy: Busy,
        at_work: Arc<AtWork>,
    ) -> Self {
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        Self {
            body,
            is_read,
            end_of_wait,
            announced,
            counted: 0,
            rest: Bytes::new(),
            is_cut: false,
            passed_on: 0,
            busy: Some(busy),
            at_work,
        }
    }

    /// Counts the bytes of a part that were not announced. Returns whether there is room for them.
    fn count(&mut self, part: usize) -> bool {
        let announced = part.min(self.announced);
        self.announced -= announced;
        self.counted = part - announced;
        if self.counted == 0 {
            return true;
        }
        let activity = self.busy.as_ref().filter(|_| self.is_read).map(Busy::activity);
        self.at_work.part(self.counted, activity)
    }

    /// The next piece of the last part. Pieces of a large part are copied: otherwise each of them, while it waits for
    /// the client, would keep the memory of the whole part.
    fn next_piece(&mut self) -> Bytes {
        let length = self.rest.len().min(PIECE);
        self.passed_on += length;
        let piece = if self.is_cut {
            let piece = Bytes::copy_from_slice(&self.rest[..length]);
            self.rest.advance(length);
            piece
        } else {
            mem::take(&mut self.rest)
        };
        if self.rest.is_empty() {
            // It still refers to the memory of a part that was cut.
            self.rest = Bytes::new();
            if self.counted > 0
                && let Some(busy) = &self.busy
            {
                self.at_work.part_passed_on(mem::take(&mut self.counted), busy.activity());
            }
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
                Ok(data) if !self.count(data.len()) => {
                    return Poll::Ready(Some(Err(axum::Error::new(PartOverloaded))));
                }
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
mod tests;
