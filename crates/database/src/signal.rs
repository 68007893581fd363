//! Signals from writers to waiting readers: a channel inside the process, and on PostgreSQL `LISTEN` and `NOTIFY`
//! between processes, on a separate connection. A signal can be lost, so readers also check regularly.
//!
//! Nothing is notified inside the transaction that it announces: PostgreSQL commits notifying transactions one after
//! another, each with its flush. For each key only the latest payload is sent, at most once in a millisecond, because
//! each `NOTIFY` is a transaction of its own, which would cost as much as the one that it announces.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, OnceLock},
    time::Duration,
};

use parking_lot::Mutex;
use runtime::Backoff;
use sqlx::{
    ConnectOptions as _,
    postgres::{PgListener, PgPoolOptions},
};
use tokio::{
    sync::{Notify, broadcast},
    task::AbortHandle,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    error::is_lost,
    manager::ACQUIRE_TIMEOUT,
    pool::{PostgresServer, in_time},
};

/// The most signals that may wait for a slow receiver in this process. It is told when some were lost.
const WAITING: usize = 1_024;
/// The most keys that may wait to be sent to the server. Further ones are lost.
const KEYS: usize = 4_096;
/// How often an idle connection is checked.
const ASK_INTERVAL: Duration = Duration::from_secs(10);
/// From one sending to the next.
const PAUSE: Duration = Duration::from_millis(1);
/// Between two attempts to connect.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));

/// Signals of one channel, as [`crate::Database::signals`] gives them.
#[derive(Debug)]
pub struct Signals {
    channel: &'static str,
    received: broadcast::Receiver<Notification>,
    // Keeps the connection open.
    _hub: Arc<Hub>,
}

#[derive(Debug, Clone)]
enum Notification {
    Signal(&'static str, String),
    /// Some may have been lost.
    Gap,
}

impl Signals {
    /// The payload of the next signal, or `None` when some may have been lost (after a reconnect or a burst): then
    /// the caller has to check the data. Never fails; without a connection it keeps trying.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            match self.received.recv().await {
                Ok(Notification::Signal(channel, payload)) if channel == self.channel => {
                    return Some(payload);
                }
                Ok(Notification::Signal(..)) => {}
                Ok(Notification::Gap) | Err(broadcast::error::RecvError::Lagged(_)) => return None,
                Err(broadcast::error::RecvError::Closed) => std::future::pending::<()>().await,
            }
        }
    }
}

/// The signals of one server or file, in this process.
#[derive(Debug)]
pub(crate) struct Hub {
    local: broadcast::Sender<Notification>,
    /// The signals of other processes, on PostgreSQL.
    remote: Option<Remote>,
}

#[derive(Debug)]
struct Remote {
    server: PostgresServer,
    shared: Arc<Shared>,
    task: OnceLock<AbortHandle>,
}

/// The requests to the task that owns the connection.
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    wake: Notify,
    closing: CancellationToken,
    closed: CancellationToken,
}

#[derive(Debug, Default)]
struct State {
    channels: BTreeSet<&'static str>,
    /// The latest payload of each channel and key.
    outbox: BTreeMap<(&'static str, String), String>,
}

impl Hub {
    pub(crate) fn new(server: Option<PostgresServer>) -> Self {
        Self {
            local: broadcast::Sender::new(WAITING),
            remote: server.map(|server| Remote { server, shared: Arc::default(), task: OnceLock::new() }),
        }
    }

    pub(crate) fn subscribe(self: &Arc<Self>, channel: &'static str) -> Signals {
        let received = self.local.subscribe();
        if let Some(remote) = &self.remote {
            remote.shared.state.lock().channels.insert(channel);
            remote.wake(&self.local);
        }
        Signals { channel, received, _hub: Arc::clone(self) }
    }

    /// Sends a signal at once, to this process and to others, without a guarantee. Of several with one `key` that
    /// wait to be sent only the last one is sent.
    pub(crate) fn send(&self, channel: &'static str, key: String, payload: String) {
        // Having no receivers is not an error.
        let _ = self.local.send(Notification::Signal(channel, payload.clone()));
        let Some(remote) = &self.remote else { return };
        {
            let mut state = remote.shared.state.lock();
            let key = (channel, key);
            if state.outbox.len() >= KEYS && !state.outbox.contains_key(&key) {
                return;
            }
            state.outbox.insert(key, payload);
        }
        remote.wake(&self.local);
    }

    /// Sends what still waits, then closes the connection, within 5 seconds.
    pub(crate) async fn close(&self) {
        if let Some(remote) = &self.remote
            && remote.task.get().is_some()
        {
            remote.shared.closing.cancel();
            if timeout(ACQUIRE_TIMEOUT, remote.shared.closed.cancelled()).await.is_err() {
                tracing::debug!("the connection for signals did not close in time");
            }
        }
    }
}

impl Remote {
    fn wake(&self, local: &broadcast::Sender<Notification>) {
        self.task.get_or_init(|| {
            let connection = Connection {
                server: self.server.clone(),
                shared: Arc::clone(&self.shared),
                local: local.clone(),
                known: BTreeMap::new(),
            };
            runtime::spawn("signals of the database", connection.run()).abort_handle()
        });
        self.shared.wake.notify_one();
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

impl Shared {
    /// Waits until there is something to be done, and a while has passed since `sent`.
    async fn more_since(&self, sent: Instant) {
        self.wake.notified().await;
        sleep_until(sent + PAUSE).await;
    }
}

/// The task that owns the connection.
struct Connection {
    server: PostgresServer,
    shared: Arc<Shared>,
    local: broadcast::Sender<Notification>,
    /// The channels that the server sends to this connection, by name.
    known: BTreeMap<String, &'static str>,
}

impl Connection {
    async fn run(mut self) {
        let mut backoff = BACKOFF;
        while !self.shared.closing.is_cancelled() {
            match self.serve(&mut backoff).await {
                Ok(()) => break,
                Err(error) => tracing::debug!(%error, "cannot listen for signals yet"),
            }
            backoff.wait_unless(&self.shared.closing).await;
        }
        self.shared.closed.cancel();
    }

    /// Connects, then sends and receives until it is closed or the connection is lost.
    async fn serve(&mut self, backoff: &mut Backoff) -> Result<(), sqlx::Error> {
        let options = self.server.options().clone().options([("synchronous_commit", "off")]);
        // The listener needs a pool, of which it takes the only connection.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(options.disable_statement_logging());
        let mut listener = in_time(PgListener::connect_with(&pool)).await?;
        listener.ignore_pool_close_event(true);
        listener.eager_reconnect(false);
        let own: i32 =
            in_time(sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut listener)).await?;
        backoff.reset();
        self.known.clear();
        loop {
            self.listen(&mut listener).await?;
            self.send(&mut listener).await?;
            let sent = Instant::now();
            tokio::select! {
                received = listener.try_recv() => match received? {
                    Some(signal) if signal.process_id().cast_signed() == own => {}
                    Some(signal) => {
                        if let Some(channel) = self.known.get(signal.channel()) {
                            let _ = self.local.send(Notification::Signal(channel, signal.payload().to_owned()));
                        }
                    }
                    None => return Err(sqlx::Error::PoolClosed),
                },
                () = self.shared.more_since(sent) => {}
                () = sleep(ASK_INTERVAL) => {
                    in_time(sqlx::query("SELECT 1").execute(&mut listener)).await?;
                }
                () = self.shared.closing.cancelled() => {
                    self.send(&mut listener).await?;
                    drop(listener);
                    in_time(async {
                        pool.close().await;
                        Ok(())
                    })
                    .await?;
                    return Ok(());
                }
            }
        }
    }

    /// Subscribes to channels that were added, and reports that earlier signals may have been lost.
    async fn listen(&mut self, listener: &mut PgListener) -> Result<(), sqlx::Error> {
        let wanted = self.shared.state.lock().channels.clone();
        for channel in wanted {
            if !self.known.contains_key(channel) {
                in_time(listener.listen(channel)).await?;
                self.known.insert(channel.to_owned(), channel);
                let _ = self.local.send(Notification::Gap);
            }
        }
        Ok(())
    }

    /// Sends what waits. If the connection turns out to be lost it goes on waiting, for the next connection.
    async fn send(&self, listener: &mut PgListener) -> Result<(), sqlx::Error> {
        const SQL: &str = "SELECT pg_notify(channel, payload) FROM unnest($1::text[], $2::text[]) AS signal (channel, payload)";
        let outbox = std::mem::take(&mut self.shared.state.lock().outbox);
        if outbox.is_empty() {
            return Ok(());
        }
        let channels: Vec<&str> = outbox.keys().map(|(channel, _)| *channel).collect();
        let payloads: Vec<String> = outbox.values().cloned().collect();
        let sending = sqlx::query(SQL).bind(channels).bind(payloads).execute(listener);
        let sent = in_time(sending).await;
        if let Err(error) = &sent
            && (is_lost(error) || matches!(error, sqlx::Error::PoolTimedOut))
        {
            let mut state = self.shared.state.lock();
            for (key, payload) in outbox {
                if state.outbox.len() < KEYS {
                    // What has come meanwhile is newer.
                    state.outbox.entry(key).or_insert(payload);
                }
            }
        }
        sent.map(drop)
    }
}
