//! Requests and replies inside the process: a bounded queue, several servers, and each reply to its own caller.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, oneshot},
    task::JoinSet,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::{BusError, Responder, ResponderOptions};

/// The queue of requests of one name.
#[derive(Debug, Default)]
pub(super) struct RequestQueue {
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    limit: usize,
    servers: usize,
    /// The requests that servers could take at once. They do not count towards the limit.
    idle: usize,
}

#[derive(Debug)]
struct Waiting {
    request: Bytes,
    reply: oneshot::Sender<Bytes>,
    /// The caller waits until this time.
    until: Instant,
}

impl Waiting {
    fn is_late(&self) -> bool {
        self.reply.is_closed() || self.until <= Instant::now()
    }
}

impl RequestQueue {
    /// Queues a request. The receiver fails when there is no server any more.
    pub(super) fn push(&self, request: Bytes, until: Instant) -> Result<oneshot::Receiver<Bytes>, BusError> {
        let (reply, answer) = oneshot::channel();
        let mut state = self.state.lock();
        if state.servers == 0 {
            return Err(BusError::unavailable("nobody serves this kind of request"));
        }
        let room = state.limit + state.idle;
        if state.waiting.len() >= room {
            // Removes requests whose callers have given up.
            state.waiting.retain(|waiting| !waiting.is_late());
        }
        if state.waiting.len() >= room {
            return Err(BusError::Overloaded);
        }
        state.waiting.push_back(Waiting { request, reply, until });
        drop(state);
        self.arrived.notify_one();
        Ok(answer)
    }

    fn pop(&self) -> Option<Waiting> {
        let mut state = self.state.lock();
        let next = loop {
            match state.waiting.pop_front() {
                Some(waiting) if waiting.is_late() => {}
                other => break other,
            }
        };
        if next.is_some() {
            state.idle = state.idle.saturating_sub(1);
            if !state.waiting.is_empty() {
                // One notification may stand for several requests.
                self.arrived.notify_one();
            }
        }
        next
    }

    async fn take(&self) -> Waiting {
        loop {
            let arrived = self.arrived.notified();
            if let Some(waiting) = self.pop() {
                return waiting;
            }
            arrived.await;
        }
    }
}

/// The idle slots of one server; they are removed when it stops in any way.
struct Server {
    queue: Arc<RequestQueue>,
    concurrency: usize,
    running: JoinSet<()>,
}

impl Server {
    fn start(queue: Arc<RequestQueue>, options: ResponderOptions) -> Self {
        let concurrency = usize::from(options.concurrency.max(1));
        {
            let mut state = queue.state.lock();
            state.limit = options.queue_limit.max(1) as usize;
            state.servers += 1;
            state.idle += concurrency;
        }
        Self { queue, concurrency, running: JoinSet::new() }
    }

    fn begin(&mut self, waiting: Waiting, responder: Arc<dyn Responder>) {
        self.running.spawn(async move {
            match timeout_at(waiting.until, responder.respond(waiting.request)).await {
                // Fails when the caller has given up: a late reply is dropped.
                Ok(reply) => drop(waiting.reply.send(reply)),
                Err(_) => tracing::warn!("a request was not answered by its deadline"),
            }
        });
    }

    fn finished(&self) {
        self.queue.state.lock().idle += 1;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut state = self.queue.state.lock();
        state.servers = state.servers.saturating_sub(1);
        state.idle = state.idle.saturating_sub(self.concurrency.saturating_sub(self.running.len()));
        let abandoned = if state.servers == 0 { std::mem::take(&mut state.waiting) } else { VecDeque::new() };
        drop(state);
        drop(abandoned);
        // Passes on a notification that this server received to the next one.
        self.queue.arrived.notify_one();
    }
}

/// Serves `queue` until `stop` is cancelled, then finishes the requests that have begun.
pub(super) async fn serve(
    queue: Arc<RequestQueue>,
    options: ResponderOptions,
    responder: Arc<dyn Responder>,
    stop: CancellationToken,
) {
    let mut server = Server::start(Arc::clone(&queue), options);
    loop {
        let free = server.running.len() < server.concurrency;
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(ended) = server.running.join_next() => {
                log_panic(ended);
                server.finished();
            }
            waiting = queue.take(), if free => server.begin(waiting, Arc::clone(&responder)),
        }
    }
    let mut running = std::mem::take(&mut server.running);
    // No more requests are taken: from here on these slots do not count.
    server.concurrency = server.concurrency.saturating_sub(running.len());
    drop(server);
    while let Some(ended) = running.join_next().await {
        log_panic(ended);
    }
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a request was not answered");
    }
}
