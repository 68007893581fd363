//! Broadcasts which sessions and tokens the log has ended, to all processes that cache checked tokens. Auth does so at
//! once; the relay does it for an auth that died before it could.
//!
//! The broadcasts have a queue of their own, so that events do not wait for them, nor they for events. Each is sent a
//! second time a little later, to whoever could not hear the first and does not know it.

use std::{sync::Arc, time::Duration};

use auth_client::{REVOCATIONS, Revocation};
use bus::Bus;
use events::RecordedEvent;
use runtime::{LogLimit, with_causes};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};

/// How long a broadcast may take.
const TIMEOUT: Duration = Duration::from_secs(1);
/// How long a revocation may wait. By then every process that has not heard of it has noticed it by itself.
const MAX_AGE: Duration = Duration::from_secs(30);
/// The time between the two. By then every process has bound its queue again, if the exchange was deleted and declared
/// by others before the process noticed.
const REPEATED_AFTER: Duration = Duration::from_secs(2);
/// The most broadcasts that wait. Further ones are dropped, like those that take too long.
const MAX_WAITING: usize = 4_096;

/// The queue of the broadcasts that wait for [`run`].
#[derive(Debug)]
pub(crate) struct Revocations {
    queue: mpsc::Sender<Waiting>,
    dropped: LogLimit,
}

/// A revocation in the queue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiting {
    revocation: Revocation,
    since: Instant,
}

/// A queue, and what is put into it.
pub(crate) fn queue() -> (Revocations, mpsc::Receiver<Waiting>) {
    let (queue, waiting) = mpsc::channel(MAX_WAITING);
    let dropped = LogLimit::default();
    (Revocations { queue, dropped }, waiting)
}

impl Revocations {
    /// Adds the revocations that `events` cause.
    pub(crate) fn enqueue<'a>(&mut self, events: impl Iterator<Item = &'a RecordedEvent>) {
        let mut revocations: Vec<_> = events.filter_map(Revocation::caused_by).collect();
        revocations.dedup();
        for revocation in revocations {
            self.add(revocation);
        }
    }

    fn add(&mut self, revocation: Revocation) {
        let since = Instant::now();
        if self.queue.try_send(Waiting { revocation, since }).is_err()
            && let Some(dropped) = self.dropped.count(1)
        {
            tracing::warn!(dropped, "too many revocations wait: some are not broadcast");
        }
    }
}

/// Broadcasts what is put into the queue, until the queue is dropped and empty.
pub(crate) async fn run(bus: Arc<dyn Bus>, mut queue: mpsc::Receiver<Waiting>) {
    let (sent, mut again) = mpsc::channel(MAX_WAITING);
    let first_time = async {
        let mut failures = LogLimit::default();
        while let Some(waiting) = queue.recv().await {
            if waiting.since.elapsed() <= MAX_AGE {
                let since = Instant::now();
                // If too many wait for their second time, once must do.
                sent.try_send(Waiting { since, ..waiting }).ok();
            }
            if let Err(last_reason) = broadcast(&*bus, waiting).await
                && let Some(count) = failures.count(1)
            {
                tracing::warn!(count, last_reason, "revocations were not broadcast");
            }
        }
    };
    let second_time = async {
        while let Some(waiting) = again.recv().await {
            sleep_until(waiting.since + REPEATED_AFTER).await;
            broadcast(&*bus, waiting).await.ok();
        }
    };
    tokio::select! {
        () = first_time => {}
        () = second_time => {}
    }
}

async fn broadcast(bus: &dyn Bus, waiting: Waiting) -> Result<(), String> {
    if waiting.since.elapsed() > MAX_AGE {
        return Err("it has waited for too long".to_owned());
    }
    match timeout(TIMEOUT, bus.broadcast(REVOCATIONS, waiting.revocation.encode())).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(with_causes(&error)),
        Err(_) => Err("the bus did not take it in time".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use bus::Heard;
    use events::UserId;
    use test_support::FaultyBus;
    use tokio::time::sleep;
    use uuid::Uuid;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_every_process_knows_by_itself_holds_up_no_newer_revocation() {
        let bus = FaultyBus::new();
        let mut listener = bus.listen(REVOCATIONS).await.unwrap();
        bus.broadcasts_hang.store(true, Ordering::SeqCst);
        let (mut revocations, waiting) = queue();
        for account in 0..100 {
            revocations.add(Revocation::Account(UserId(Uuid::from_u128(account))));
        }
        let ending = async {
            // One of them is given up every second. The others are older than half a minute then.
            sleep(Duration::from_secs(60)).await;
            bus.broadcasts_hang.store(false, Ordering::SeqCst);
            revocations.add(Revocation::Keys);
            drop(revocations);
        };
        tokio::join!(run(bus.clone(), waiting), ending);
        let heard = listener.next().await;
        assert_eq!(heard, Heard::Message(Revocation::Keys.encode()));
        assert!(bus.broadcasts.load(Ordering::SeqCst) <= 64);
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_not_there_the_first_time_hears_of_a_revocation_the_second_time() {
        let bus = FaultyBus::new();
        let (mut revocations, waiting) = queue();
        revocations.add(Revocation::Keys);
        let listening = async {
            sleep(Duration::from_secs(1)).await;
            assert_eq!(bus.broadcasts.load(Ordering::SeqCst), 1);
            let mut listener = bus.listen(REVOCATIONS).await.unwrap();
            let heard = timeout(Duration::from_secs(5), listener.next()).await;
            assert_eq!(heard, Ok(Heard::Message(Revocation::Keys.encode())));
            drop(revocations);
        };
        tokio::join!(run(bus.clone(), waiting), listening);
    }
}
