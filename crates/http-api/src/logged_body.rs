//! The body of an answer that reports, when it was taken or dropped, how many bytes were taken.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

/// A body that calls `tell` when it is dropped, with the number of bytes that were taken, and whether that was all.
/// It is the server that takes them: whether the client had the last of them when its connection ended is not told.
pub(crate) struct LoggedBody<Tell: FnOnce(u64, bool)> {
    body: Body,
    bytes: u64,
    tell: Option<Tell>,
}

impl<Tell: FnOnce(u64, bool)> LoggedBody<Tell> {
    pub(crate) fn new(body: Body, tell: Tell) -> Self {
        Self { body, bytes: 0, tell: Some(tell) }
    }

    fn tell(&mut self, is_whole: bool) {
        if let Some(tell) = self.tell.take() {
            tell(self.bytes, is_whole);
        }
    }
}

impl<Tell: FnOnce(u64, bool) + Unpin> HttpBody for LoggedBody<Tell> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                self.bytes += bytes as u64;
            }
            Some(Err(_)) => self.tell(false),
            None => self.tell(true),
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

impl<Tell: FnOnce(u64, bool)> Drop for LoggedBody<Tell> {
    fn drop(&mut self) {
        let is_whole = self.body.is_end_stream();
        self.tell(is_whole);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use futures::stream;
    use http_body_util::BodyExt as _;

    use super::*;

    type Told = Arc<Mutex<Vec<(u64, bool)>>>;

    fn logged(body: Body) -> (LoggedBody<impl FnOnce(u64, bool) + Unpin>, Told) {
        let told = Told::default();
        let log = Arc::clone(&told);
        let tell = move |bytes, is_whole| log.lock().unwrap().push((bytes, is_whole));
        (LoggedBody::new(body, tell), told)
    }

    fn parts() -> Body {
        let parts = ["one", "three"].map(Ok::<_, std::io::Error>);
        Body::from_stream(stream::iter(parts))
    }

    #[tokio::test]
    async fn the_bytes_of_a_body_are_told_once_at_its_end() {
        for (body, length) in [(Body::from("twelve bytes"), 12), (parts(), 8), (Body::empty(), 0)] {
            let (body, told) = logged(body);
            body.collect().await.unwrap();
            assert_eq!(*told.lock().unwrap(), [(length, true)]);
        }
    }

    #[tokio::test]
    async fn a_body_that_was_given_up_or_broke_off_is_told_as_such() {
        let (mut body, told) = logged(parts());
        body.frame().await;
        drop(body);
        assert_eq!(*told.lock().unwrap(), [(3, false)]);
        let broken = [Ok("half"), Err(std::io::Error::other("the role died"))];
        let (body, told) = logged(Body::from_stream(stream::iter(broken)));
        assert!(body.collect().await.is_err());
        assert_eq!(*told.lock().unwrap(), [(4, false)]);
    }
}
