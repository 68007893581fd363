//! Bodies that are sent again.

use futures::StreamExt as _;
use http_body_util::BodyExt;

use super::*;

const LIMIT: Duration = Duration::from_millis(200);

fn parts(count: usize, size: usize) -> Body {
    let part = move |_| Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; size]));
    Body::from_stream(futures::stream::iter((0..count).map(part)))
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_is_given_up() {
    let body = ReplayableBody::new(Body::empty());
    let outcome = within(LIMIT, &body, std::future::pending::<()>()).await;
    assert!(matches!(outcome, Err(ForwardError::TimedOut)));
}

#[tokio::test]
async fn a_request_that_is_still_being_sent_is_not() {
    let parts = futures::stream::unfold(0, |sent| async move {
        tokio::time::sleep(LIMIT / 4).await;
        (sent < 10).then(|| (Ok::<_, std::io::Error>("part "), sent + 1))
    });
    let body = ReplayableBody::new(Body::from_stream(parts));
    let outcome = within(LIMIT, &body, body.clone().collect()).await;
    assert_eq!(outcome.unwrap().unwrap().to_bytes().len(), 50);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_holds_its_body_back_is_not_taken_for_an_upstream_that_does_not_answer() {
    // The server gives the client the same time, counted from the first read of the body.
    let stalls = futures::stream::once(async {
        tokio::time::sleep(ANSWER_TIMEOUT).await;
        Err::<Bytes, _>(BodyStalled)
    });
    let body = ReplayableBody::new(Body::from_stream(stalls));
    let sending = async {
        tokio::time::sleep(LIMIT).await;
        body.clone().collect().await
    };
    assert!(in_time(&body, sending).await.unwrap().is_err());
    assert!(matches!(body.failure(), Some(ForwardError::ClientStalled)));
}

#[tokio::test(start_paused = true)]
async fn an_upstream_has_its_time_from_when_the_client_has_sent_all_of_its_body() {
    let late = futures::stream::once(async {
        tokio::time::sleep(ANSWER_TIMEOUT * 2).await;
        Ok::<_, std::io::Error>(Bytes::from_static(b"all"))
    });
    let body = ReplayableBody::new(Body::from_stream(late));
    let began = Instant::now();
    let silent = async {
        body.clone().collect().await.unwrap();
        std::future::pending::<()>().await;
    };
    let outcome = in_time(&body, silent).await;
    assert!(matches!(outcome, Err(ForwardError::TimedOut)));
    assert_eq!(began.elapsed().as_secs(), 3 * ANSWER_TIMEOUT.as_secs());
}

#[tokio::test]
async fn what_was_kept_is_sent_again_and_the_rest_after_it() {
    let body = ReplayableBody::kept(parts(3, 10));
    let mut first = body.clone();
    assert!(first.frame().await.is_some());
    drop(first);
    for _ in 0..2 {
        assert!(body.is_whole());
        assert_eq!(body.clone().collect().await.unwrap().to_bytes().len(), 30);
    }
}

/// Each part keeps the buffer in memory of which it is a slice.
#[tokio::test]
async fn a_body_in_tiny_parts_takes_no_more_memory_than_its_bytes() {
    let buffer = Bytes::from((0..=u8::MAX).collect::<Vec<u8>>());
    let parts = futures::stream::unfold((0, buffer.clone()), |(number, buffer)| async move {
        let part = buffer.slice(number % 256..=number % 256);
        (number < MAX_KEPT).then_some((Ok::<_, std::io::Error>(part), (number + 1, buffer)))
    });
    let body = ReplayableBody::kept(Body::from_stream(parts.fuse()));
    let first = body.clone().collect().await.unwrap().to_bytes();
    assert_eq!(first.len(), MAX_KEPT);
    assert!(buffer.is_unique());
    assert!(body.shared.lock().kept.capacity() <= 2 * MAX_KEPT);
    assert!(body.is_whole());
    assert_eq!(body.clone().collect().await.unwrap().to_bytes(), first);
}

#[tokio::test]
async fn what_is_not_kept_or_too_long_is_sent_once() {
    for body in [ReplayableBody::new(parts(1, 10)), ReplayableBody::kept(parts(2, MAX_KEPT / 2 + 1))] {
        assert!(body.is_whole());
        body.clone().collect().await.unwrap();
        assert!(!body.is_whole());
    }
}

#[tokio::test]
async fn nothing_is_read_before_it_is_asked_for() {
    let awaited = Arc::new(Continue::default());
    let body = ReplayableBody::new(parts(1, 10));
    let mut attempt = body.clone().once_asked_for(Arc::clone(&awaited));
    assert!(tokio::time::timeout(LIMIT, attempt.frame()).await.is_err());
    assert!(body.is_whole());
    awaited.open();
    assert!(attempt.frame().await.is_some());
}
