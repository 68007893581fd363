//! How an answer is passed on, and how long its bytes count.

use std::{task::Waker, time::Duration};

use futures::stream;
use http_body_util::BodyExt as _;
use tokio::time::Instant;

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

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.part.as_ref().map_or(0, Bytes::len) as u64)
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
        let guard = Arc::new(());
        let body = Body::new(Guarded { part: Some(part.clone()), _guard: Arc::clone(&guard) });
        Self::of(&load(usize::MAX), body, true, guard)
    }

    /// An answer whose length is known at its end only.
    fn in_parts(load: &Load, parts: &[usize], is_read: bool) -> Self {
        let parts: Vec<_> = parts.iter().map(|length| Ok::<_, io::Error>(part(*length))).collect();
        Self::of(load, Body::from_stream(stream::iter(parts)), is_read, Arc::default())
    }

    fn of(load: &Load, body: Body, is_read: bool, guard: Arc<()>) -> Self {
        let (activity, caller) = (Activity::new(), CallerBytes::default());
        let at_work = load.begin().0;
        at_work.count_for(&caller, [192, 0, 2, 1].into());
        assert!(at_work.answer(usize::try_from(body.size_hint().lower()).unwrap()));
        let end_of_wait = Box::pin(std::future::pending::<io::Result<()>>());
        let body = AnswerBody::new(body, is_read, end_of_wait, activity.busy(true), at_work);
        Self { body: Some(body), activity, caller, guard }
    }

    /// The length of the next piece that hyper gets; `None` when the answer ends with an error.
    async fn next_piece(&mut self) -> Option<usize> {
        let frame = self.body.as_mut().unwrap().frame().await.unwrap();
        frame.ok().map(|frame| frame.into_data().unwrap().len())
    }

    /// The client takes nothing.
    fn wait_for_client(&self) -> io::Result<()> {
        self.activity.wait_for_client(Instant::now(), &Context::from_waker(Waker::noop()))
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

/// What a server of so many bytes has at work. It has no patience with slow clients when it needs their memory.
fn load(max_bytes: usize) -> Load {
    let options = ServerOptions {
        max_bytes,
        max_bytes_per_caller: max_bytes,
        stall_timeout_under_load: Duration::ZERO,
        ..ServerOptions::default()
    };
    Load::new(&options, ConnectionMetrics::new())
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

#[tokio::test]
async fn parts_of_an_answer_without_a_length_count_until_they_are_sent() {
    let load = load(usize::MAX);
    let mut answer = Answer::in_parts(&load, &[100, 20_000, 5 * PIECE], true);
    for (length, counted) in [(100, 100), (20_000, 20_100)] {
        assert_eq!((answer.next_piece().await, answer.held().0), (Some(length), counted));
    }
    answer.activity.sent();
    assert_eq!(answer.held().0, 0);
    for _ in 0..4 {
        assert_eq!((answer.next_piece().await, answer.held().0), (Some(PIECE), 5 * PIECE));
        answer.activity.sent();
        assert_eq!(answer.held().0, 5 * PIECE, "it has the whole part");
    }
    assert_eq!((answer.next_piece().await, answer.held().0), (Some(PIECE), 3 * PIECE));
    answer.activity.sent();
    assert_eq!(answer.held().0, 0);
    // Its client goes away in the middle of a part.
    let mut answer = Answer::in_parts(&load, &[2 * PIECE], true);
    answer.next_piece().await;
    answer.activity.closed();
    answer.body = None;
    assert_eq!(answer.held(), (0, false, false));
}

#[tokio::test]
async fn a_long_answer_that_is_taken_needs_room_for_its_parts_alone() {
    let mut answer = Answer::in_parts(&load(2 * PIECE), &[2 * PIECE; 50], true);
    for _ in 0..100 {
        assert_eq!(answer.next_piece().await, Some(PIECE));
        answer.activity.sent();
    }
}

/// A client that is as fast as the answer comes never lets the queue get empty.
#[tokio::test]
async fn parts_that_were_passed_on_count_no_more_than_can_wait() {
    let mut answer = Answer::in_parts(&load(5 * PIECE), &[PIECE; 50], true);
    for _ in 0..50 {
        assert_eq!(answer.next_piece().await, Some(PIECE));
    }
    assert_eq!(answer.held().0, 3 * PIECE);
    answer.activity.sent();
    assert_eq!(answer.held().0, 0);
}

#[tokio::test]
async fn an_answer_ends_when_there_is_no_room_for_its_next_part() {
    let load = load(2 * PIECE);
    let mut slow = Answer::in_parts(&load, &[PIECE, PIECE], true);
    assert_eq!((slow.next_piece().await, slow.next_piece().await), (Some(PIECE), Some(PIECE)));
    let mut refused = Answer::in_parts(&load, &[4_096, 4_096, 1], true);
    assert_eq!((refused.next_piece().await, refused.next_piece().await), (Some(4_096), Some(4_096)));
    assert_eq!((refused.next_piece().await, refused.held().0), (None, 8_192), "only little is always given");
    drop(refused);
    let mut command = Answer::in_parts(&load, &[PIECE], false);
    assert_eq!(command.next_piece().await, Some(PIECE), "what a command has done is told");
    drop(command);
    // Once it waits for its client, another one gets its memory.
    slow.wait_for_client().unwrap();
    let mut next = Answer::in_parts(&load, &[PIECE], true);
    assert_eq!(next.next_piece().await, Some(PIECE));
    assert_eq!((slow.held().0, next.held().0), (0, PIECE));
    assert!(slow.wait_for_client().is_err(), "it is cut off");
    slow.activity.sent();
    drop((slow, next));
    assert!(load.begin().0.answer(2 * PIECE), "nothing is counted twice or left");
}
