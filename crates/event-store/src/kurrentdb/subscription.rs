//! Following the log by a catch-up subscription. Only this file knows its position: after a failure a new
//! subscription starts after the last received event or checkpoint.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream, stream::BoxStream};
use runtime::Backoff;
use tokio::{
    sync::mpsc::{self, Receiver, Sender},
    time::sleep,
};

use super::{
    connection::Connection,
    failure::Failure,
    log_end::LogEnd,
    read_call::{Read, ReadItem},
    record,
};
use crate::{Entry, PAGE_BYTES, Page};

/// The most events that wait for the subscriber before the server has to wait. Few, since each may be large.
const WAITING: usize = 64;
/// The most events of a page.
const PAGE: usize = 1_000;
/// The longest pause between two attempts to subscribe, before jitter.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// As [`crate::EventStore::subscribe`].
pub(super) fn subscribe(connection: Arc<Connection>, end: &LogEnd, after: u64) -> BoxStream<'static, Page> {
    let follower = Follower { connection, after, examined: end.skip(after), events: None };
    stream::unfold(follower, |mut follower| async move {
        let page = follower.next_page().await;
        Some((page, follower))
    })
    .boxed()
}

/// An event, with the bytes that count for the size of its page.
type Arrived = (Entry, usize);

struct Follower {
    connection: Arc<Connection>,
    after: u64,
    /// There is no event of ours after `after` up to this position.
    examined: u64,
    events: Option<Receiver<Arrived>>,
}

impl Follower {
    /// The events that have arrived, at least one and no more than a page.
    async fn next_page(&mut self) -> Page {
        loop {
            let events = self.events.get_or_insert_with(|| {
                let (sender, receiver) = mpsc::channel(WAITING);
                let progress = Progress { after: self.after, examined: self.examined.max(self.after) };
                runtime::spawn(
                    "subscription to KurrentDB",
                    follow(Arc::clone(&self.connection), progress, sender),
                );
                receiver
            });
            if let Some((first, mut bytes)) = events.recv().await {
                let mut page = Page { entries: vec![first], more: false };
                while page.entries.len() < PAGE
                    && bytes < PAGE_BYTES
                    && let Ok((next, more)) = events.try_recv()
                {
                    page.entries.push(next);
                    bytes += more;
                }
                self.after = page.position().unwrap_or(self.after);
                return page;
            }
            // The task ends by itself only by a panic.
            self.events = None;
            sleep(MAX_PAUSE).await;
        }
    }
}

/// The position of a subscription.
#[derive(Clone, Copy, PartialEq)]
struct Progress {
    /// All events up to this position were sent.
    after: u64,
    /// The server was searched up to this position.
    examined: u64,
}

/// Sends events until the receiver is dropped.
async fn follow(connection: Arc<Connection>, mut progress: Progress, events: Sender<Arrived>) {
    let mut backoff = Backoff::new(Duration::from_millis(100), MAX_PAUSE);
    let mut failed_read = false;
    loop {
        let before = progress;
        let failure = tokio::select! {
            () = events.closed() => return,
            ended = receive(&connection, &mut progress, &events) => match ended {
                Ok(()) => return,
                Err(failure) => failure,
            },
        };
        if progress != before {
            backoff.reset();
        }
        let failed_again = failed_read && matches!(failure, Failure::FailedRead);
        failed_read = matches!(failure, Failure::FailedRead);
        if failed_again || matches!(failure, Failure::NoSuchPosition) {
            // The log was cut and continues differently. The events after the position are found from the start.
            progress.examined = 0;
        }
        let pause = backoff.pause();
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(error = %failure, position = progress.after, pause_ms, "the subscription to the log was lost");
        tokio::select! {
            () = events.closed() => return,
            () = sleep(pause) => {}
        }
    }
}

/// Subscribes and sends the events; ends with a failure, or when the receiver is dropped. A node that is not the
/// leader any more may keep a subscription open and send nothing, so it also ends when the rest of the process has
/// left the node.
async fn receive(
    connection: &Connection,
    progress: &mut Progress,
    events: &Sender<Arrived>,
) -> Result<(), Failure> {
    let node = connection.node().await?;
    let receiving = async {
        let read = Read::subscription(progress.examined).of(connection.prefix());
        let mut subscription = read.start(&node, connection).await?;
        loop {
            match subscription.next().await? {
                None => return Err(Failure::Connection("the server has ended it".to_owned())),
                Some(ReadItem::Checkpoint(position)) => progress.examined = position,
                Some(ReadItem::Event(event)) => {
                    let at = event.commit_position;
                    let bytes = record::size_in_page(&event);
                    if at > progress.after
                        && let Some(entry) = record::recorded(*event, connection.prefix())
                    {
                        if events.send((entry, bytes)).await.is_err() {
                            return Ok(());
                        }
                        progress.after = at;
                    }
                    progress.examined = at;
                }
            }
        }
    };
    let ended = tokio::select! {
        ended = receiving => ended,
        () = connection.replaced(&node) => {
            Err(Failure::Connection("the process has another connection now".to_owned()))
        }
    };
    if let Err(failure) = &ended {
        connection.failed(&node, failure, None).await;
    }
    ended
}
