//! The body of an upstream's answer, with a time limit for each next part. It does not know the content.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::HttpBody;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use crate::error::ForwardError;

/// The time limit for the next part of an answer. An event stream sends three heartbeats in this time.
const SILENCE: Duration = Duration::from_secs(45);

type Error = Box<dyn std::error::Error + Send + Sync>;

/// A body that fails when the upstream sends nothing for [`SILENCE`]. The time that the client takes to read does not
/// count.
pub(super) struct AnswerBody<B> {
    body: B,
    /// Set only while waiting for the upstream.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<B> AnswerBody<B> {
    pub(super) fn new(body: B) -> Self {
        Self { body, timer: None }
    }
}

impl<B: HttpBody<Error: Into<Error>> + Unpin> HttpBody for AnswerBody<B> {
    type Data = B::Data;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.timer = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(SILENCE)));
        timer.as_mut().poll(context).map(|()| Some(Err(ForwardError::BrokenOff.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use bytes::Bytes;
    use futures::stream::unfold;
    use http_body_util::BodyExt as _;

    use super::*;

    /// A body that sends a part after each of these pauses.
    fn parts(after: Vec<Duration>) -> AnswerBody<Body> {
        let parts = unfold(after.into_iter(), |mut after| async move {
            sleep(after.next()?).await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(b"part ")), after))
        });
        AnswerBody::new(Body::from_stream(parts))
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_goes_on_is_passed_on_however_long_it_takes() {
        let body = parts(vec![Duration::from_secs(40); 20]);
        assert_eq!(body.collect().await.unwrap().to_bytes().len(), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_falls_silent_breaks_off() {
        let mut body = parts(vec![Duration::from_secs(1), Duration::from_secs(3_600)]);
        assert!(body.frame().await.unwrap().is_ok());
        // Time that the reader takes does not count.
        sleep(SILENCE * 2).await;
        let began = tokio::time::Instant::now();
        assert!(body.frame().await.unwrap().is_err());
        assert_eq!(began.elapsed().as_secs(), SILENCE.as_secs());
    }
}
