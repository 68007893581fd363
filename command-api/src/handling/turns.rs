//! The order in which commands that are decided concurrently hand their events to the store.

use tokio::sync::watch;

/// The turns of a number of commands, one after another.
pub(super) struct Turns(watch::Sender<Progress>);

struct Progress {
    over: Vec<bool>,
    /// The first turn that is not over.
    next: usize,
}

/// The turn of one command. It is over when this is dropped and the turns before it are over.
pub(super) struct Turn<'t> {
    turns: &'t Turns,
    number: usize,
}

impl Turns {
    pub(super) fn new(count: usize) -> Self {
        Self(watch::Sender::new(Progress { over: vec![false; count], next: 0 }))
    }

    /// The turn `number`, from 0 on. To be asked for once.
    pub(super) const fn turn(&self, number: usize) -> Turn<'_> {
        Turn { turns: self, number }
    }
}

impl Turn<'_> {
    /// Begins `append` when the turns before this one are over. This one is over once it has begun: the store writes
    /// what is handed to it in the order of arrival, and others need not wait until it is written.
    pub(super) async fn begin<F: Future>(self, append: F) -> F::Output {
        let mut progress = self.turns.0.subscribe();
        // Never fails: `self` keeps the sender.
        let _ = progress.wait_for(|progress| progress.next >= self.number).await;
        runtime::begin(self, append).await
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.0.send_if_modified(|progress| {
            if let Some(over) = progress.over.get_mut(self.number) {
                *over = true;
            }
            let before = progress.next;
            while progress.over.get(progress.next) == Some(&true) {
                progress.next += 1;
            }
            progress.next > before
        });
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, future::ready};

    use futures::{FutureExt, future::join_all};
    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn what_is_ready_later_begins_in_its_place() {
        let (turns, begun) = (Turns::new(4), RefCell::new(Vec::new()));
        let commands = (0..4).map(|number| {
            let (turn, begun) = (turns.turn(number), &begun);
            async move {
                // The later ones are decided first, and the second one is refused.
                for _ in number..10 {
                    yield_now().await;
                }
                if number != 1 {
                    turn.begin(async {
                        begun.borrow_mut().push(number);
                        yield_now().await;
                    })
                    .await;
                }
            }
        });
        join_all(commands).await;
        assert_eq!(*begun.borrow(), [0, 2, 3]);
    }

    #[tokio::test]
    async fn a_turn_is_not_over_before_those_before_it() {
        let turns = Turns::new(3);
        let first = turns.turn(0);
        drop(turns.turn(1));
        let mut last = Box::pin(turns.turn(2).begin(ready(())));
        assert!((&mut last).now_or_never().is_none());
        drop(first);
        last.await;
    }
}
