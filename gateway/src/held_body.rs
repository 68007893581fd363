//! A request's body while it is on its way: streamed, yet still at hand for another replica as long as nobody
//! has read from it.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use service::BodyStalled;
use tokio::time::{Instant, sleep_until};

use crate::error::ForwardError;

/// For the head of an answer, counted from when the last part of the request was sent.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Waits for an answer as long as the request is still being sent, and a while longer.
pub(crate) async fn in_time<T>(body: &HeldBody, answer: impl Future<Output = T>) -> Result<T, ForwardError> {
    within(ANSWER_TIMEOUT, body, answer).await
}

async fn within<T>(
    limit: Duration,
    body: &HeldBody,
    answer: impl Future<Output = T>,
) -> Result<T, ForwardError> {
    let mut answer = std::pin::pin!(answer);
    loop {
        let deadline = body.moved_at() + limit;
        tokio::select! {
            answer = answer.as_mut() => return Ok(answer),
            () = sleep_until(deadline) => {
                if body.moved_at() + limit <= deadline {
                    return Err(ForwardError::TimedOut);
                }
            }
        }
    }
}

/// A body that several attempts share. Only one may read from it.
#[derive(Clone)]
pub(crate) struct HeldBody(Arc<Mutex<State>>);

struct State {
    body: Body,
    moved_at: Instant,
    failure: Option<Failure>,
}

#[derive(Clone, Copy)]
enum Failure {
    Stalled,
    Broken,
}

impl HeldBody {
    pub(crate) fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(State {
            body,
            moved_at: Instant::now(),
            failure: None,
        })))
    }

    /// When the last part of it was read.
    fn moved_at(&self) -> Instant {
        self.state().moved_at
    }

    /// What the client did wrong while sending it.
    pub(crate) fn failure(&self) -> Option<ForwardError> {
        self.state().failure.map(|failure| match failure {
            Failure::Stalled => ForwardError::ClientStalled,
            Failure::Broken => ForwardError::ClientGone,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpBody for HeldBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut state = self.state();
        let polled = Pin::new(&mut state.body).poll_frame(context);
        if let Poll::Ready(frame) = &polled {
            state.moved_at = Instant::now();
            if let Some(Err(error)) = frame {
                state.failure = Some(if BodyStalled::caused(error) {
                    Failure::Stalled
                } else {
                    Failure::Broken
                });
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.state().body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.state().body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(200);

    #[tokio::test]
    async fn an_upstream_that_does_not_answer_is_given_up() {
        let body = HeldBody::new(Body::empty());
        let outcome = within(LIMIT, &body, std::future::pending::<()>()).await;
        assert!(matches!(outcome, Err(ForwardError::TimedOut)));
    }

    #[tokio::test]
    async fn a_request_that_is_still_being_sent_is_not() {
        let parts = futures::stream::unfold(0, |sent| async move {
            tokio::time::sleep(LIMIT / 4).await;
            (sent < 10).then(|| (Ok::<_, std::io::Error>("part "), sent + 1))
        });
        let body = HeldBody::new(Body::from_stream(parts));
        let outcome = within(LIMIT, &body, body.clone().collect()).await;
        assert_eq!(outcome.unwrap().unwrap().to_bytes().len(), 50);
    }
}
