//! The order of the appends about one person: they begin in the order in which they came, although each of them may
//! have to wait for a key before.

use std::{pin::pin, task::Poll, time::Duration};

use events::UserId;
use futures::poll;
use runtime::KeyedSemaphore;
use tokio::task::coop::unconstrained;

/// How long an append waits for those before it, from its arrival on. After that it begins out of its order: one that
/// does not get its key must not keep the others out.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The appends of all people that have not begun. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct AppendOrder(KeyedSemaphore<UserId>);

impl AppendOrder {
    pub(crate) fn new() -> Self {
        Self(KeyedSemaphore::new(1, usize::MAX))
    }

    /// Runs `prepare` and then the append that it returns. Appends about one `subject` are prepared concurrently and
    /// begin in the order in which the futures of this function were first polled. An append has begun when it was
    /// polled once: the next one does not wait until it has ended.
    pub(crate) async fn keep<Append, T, E>(
        &self,
        subject: UserId,
        prepare: impl Future<Output = Result<Append, E>>,
    ) -> Result<T, E>
    where
        Append: Future<Output = Result<T, E>>,
    {
        // Otherwise tokio may make a task that has done much yield in a poll, so that it does not enter the queue.
        let mut turn = pin!(unconstrained(self.0.take(subject, TIMEOUT)));
        let entered = poll!(turn.as_mut());
        let append = prepare.await?;
        let turn = match entered {
            Poll::Ready(turn) => turn,
            Poll::Pending => turn.await,
        };
        runtime::begin(turn, append).await
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::RefCell,
        future::{Ready, pending, ready},
        time::Instant,
    };

    use futures::{FutureExt as _, future::join_all};
    use tokio::{sync::Barrier, task::yield_now};
    use uuid::Uuid;

    use super::*;

    const SUBJECT: UserId = UserId(Uuid::from_u128(1));

    #[tokio::test]
    async fn what_is_prepared_later_begins_in_its_place_and_nobody_waits_for_its_end() {
        let (order, begun, all) = (AppendOrder::new(), RefCell::new(Vec::new()), Barrier::new(3));
        let appends = (0..4).map(|number| {
            let (begun, all) = (&begun, &all);
            let append = async move {
                begun.borrow_mut().push(number);
                all.wait().await;
                Ok::<i32, &str>(number)
            };
            let prepare = async move {
                // The later ones are prepared first, and the second one fails.
                for _ in number..10 {
                    yield_now().await;
                }
                match number {
                    1 => Err("no key"),
                    _ => Ok(append),
                }
            };
            order.keep(SUBJECT, prepare)
        });
        let came = Instant::now();
        let appended = join_all(appends).await;
        assert!(came.elapsed() < TIMEOUT, "one waited for the end of another");
        assert_eq!(appended, [Ok(0), Err("no key"), Ok(2), Ok(3)]);
        assert_eq!(*begun.borrow(), [0, 2, 3]);
        assert!(order.0.is_unused());
    }

    #[tokio::test]
    async fn whoever_gives_up_keeps_nobody_waiting() {
        let order = AppendOrder::new();
        let never = pending::<Result<Ready<Result<(), ()>>, ()>>();
        let mut first = Box::pin(order.keep(SUBJECT, never));
        assert!((&mut first).now_or_never().is_none());
        let mut second = Box::pin(order.keep(SUBJECT, ready(Ok(ready(Ok::<(), ()>(()))))));
        assert!((&mut second).now_or_never().is_none());
        drop(first);
        let came = Instant::now();
        assert_eq!(second.await, Ok(()));
        assert!(came.elapsed() < TIMEOUT);
        assert!(order.0.is_unused());
    }
}
