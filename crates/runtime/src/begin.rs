//! Work that begins in turn and does not end in turn.

use std::{pin::pin, task::Poll};

use futures::poll;
use tokio::task::coop::unconstrained;

/// Does `work`, and drops `turn` once the work was polled for the first time: then the next one may begin, which need
/// not wait until this one has ended.
pub async fn begin<F: Future>(turn: impl Sized, work: F) -> F::Output {
    let mut work = pin!(work);
    // Otherwise tokio may make a task that has done much yield in a poll, before the work has begun.
    let begun = poll!(unconstrained(work.as_mut()));
    drop(turn);
    match begun {
        Poll::Ready(done) => done,
        Poll::Pending => work.await,
    }
}
