//! Following the log by a catch-up subscription. Where it stands is known here and nowhere else: after a failure
//! a new one starts behind the last event that was received.

use std::{sync::Arc, time::Duration};

use eventstore::SubscribeToAllOptions;
use futures::{StreamExt, stream, stream::BoxStream};
use tokio::{
    sync::mpsc::{self, Receiver, Sender},
    time::sleep,
};

use super::{connection::Connection, position, record, unavailable};
use crate::{Entry, Page, StoreError};

/// So many events may wait for the subscriber before the server has to.
const WAITING: usize = 1_000;
/// The longest pause between two attempts to subscribe, before jitter.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// As [`crate::EventStore::subscribe`].
pub(super) fn subscribe(connection: Arc<Connection>, after: u64) -> BoxStream<'static, Page> {
    let follower = Follower {
        connection,
        after,
        events: None,
    };
    stream::unfold(follower, |mut follower| async move {
        let page = follower.next_page().await;
        Some((page, follower))
    })
    .boxed()
}

struct Follower {
    connection: Arc<Connection>,
    after: u64,
    events: Option<Receiver<Entry>>,
}

impl Follower {
    /// All events that have arrived, at least one.
    async fn next_page(&mut self) -> Page {
        let mut page = Page::default();
        loop {
            let events = self.events.get_or_insert_with(|| {
                let (sender, receiver) = mpsc::channel(WAITING);
                tokio::spawn(follow(Arc::clone(&self.connection), self.after, sender));
                receiver
            });
            if events.recv_many(&mut page.entries, WAITING).await > 0 {
                self.after = page.position().unwrap_or(self.after);
                return page;
            }
            // The task ends by itself only if the client panics.
            self.events = None;
            sleep(LONGEST_PAUSE).await;
        }
    }
}

/// Sends events until nobody wants them any more.
async fn follow(connection: Arc<Connection>, mut after: u64, events: Sender<Entry>) {
    let mut failures = 0;
    loop {
        let before = after;
        let error = tokio::select! {
            () = events.closed() => return,
            ended = receive(&connection, &mut after, &events) => match ended {
                Ok(()) => return,
                Err(error) => error,
            },
        };
        if after > before {
            failures = 0;
        }
        let pause = pause(failures);
        failures += 1;
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(%error, position = after, pause_ms, "the subscription to the log was lost");
        tokio::select! {
            () = events.closed() => return,
            () = sleep(pause) => {}
        }
    }
}

/// Subscribes and sends what comes; ends with an error, or when nobody wants events any more.
async fn receive(connection: &Connection, after: &mut u64, events: &Sender<Entry>) -> Result<(), StoreError> {
    let options = SubscribeToAllOptions::default()
        .position(position(*after))
        .filter(connection.filter())
        .requires_leader(true);
    let (client, generation) = connection.client().await.map_err(unavailable)?;
    let mut subscription = client.subscribe_to_all(&options).await;
    loop {
        let event = match subscription.next().await {
            Ok(event) => event,
            Err(error) => {
                connection.failed(generation, &error).await;
                return Err(unavailable(error));
            }
        };
        let at = event.get_original_event().position.commit;
        let event = record::recorded(event, connection.prefix());
        if at <= *after {
            continue;
        }
        if let Some(event) = event
            && events.send(event).await.is_err()
        {
            return Ok(());
        }
        *after = at;
    }
}

/// Doubles from 100 ms with every failure; the jitter keeps many readers from coming back at once.
fn pause(failures: u32) -> Duration {
    let pause = Duration::from_millis(100)
        .saturating_mul(1 << failures.min(10))
        .min(LONGEST_PAUSE);
    pause.mul_f64(rand::random_range(0.5..1.0))
}
