//! Follows the log: reads pages while there is a backlog, then each batch as it is appended. It only relies on
//! reading. The watched head avoids waiting for the next regular read.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream, stream::BoxStream};
use runtime::Backoff;
use tokio::{sync::watch, time::timeout};

use super::log::Log;
use crate::Page;

/// The most events per read.
const PAGE: usize = 1_000;
/// Between two attempts to read.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));

/// As [`crate::EventStore::subscribe`].
pub(super) fn subscribe(log: Arc<Log>, after: u64) -> BoxStream<'static, Page> {
    let subscription = Subscription { head: log.head.subscribe(), log, after, look: true };
    stream::unfold(subscription, |mut subscription| async move {
        let page = subscription.next_page().await;
        Some((page, subscription))
    })
    .boxed()
}

struct Subscription {
    log: Arc<Log>,
    head: watch::Receiver<u64>,
    after: u64,
    /// Whether to read even if the known head says that there is nothing new.
    look: bool,
}

impl Subscription {
    async fn next_page(&mut self) -> Page {
        let mut backoff = BACKOFF;
        loop {
            if !self.look && *self.head.borrow_and_update() <= self.after {
                self.wait().await;
                continue;
            }
            self.look = false;
            match self.log.log_page(self.after, PAGE).await {
                Ok(page) => match page.position() {
                    Some(last) => {
                        self.after = last;
                        self.look = page.more;
                        return page;
                    }
                    None => self.wait().await,
                },
                Err(error) => {
                    let pause = backoff.pause();
                    let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                    tracing::warn!(%error, position = self.after, pause_ms, "cannot read on in the log");
                    tokio::time::sleep(pause).await;
                    self.look = true;
                }
            }
        }
    }

    /// Waits until the head moves, or a regular read is due.
    async fn wait(&mut self) {
        // The log has the sender, so the channel is never closed.
        let _ = timeout(self.log.safety_poll(), self.head.changed()).await;
        self.look = true;
    }
}
