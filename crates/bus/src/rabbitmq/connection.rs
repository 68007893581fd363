//! A supervised connection. When it is lost a new one is made; its users restore their channels.

use std::{pin::pin, sync::Arc, time::Duration};

use dashmap::DashSet;
use futures::{FutureExt, Stream, StreamExt};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, DefaultConnectionBuilder, Event,
    options::BasicPublishOptions, types::ShortString,
};
use tokio::{sync::watch, task::AbortHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    address::Address,
    channel::{BrokerChannel, lost, silent},
    supervision::restarted_after_panic,
    timing::{BACKOFF, BROKER_TIMEOUT},
};
use crate::{BusError, counts::Counters};

/// The interval of heartbeats in seconds. A broker counts as lost that has sent nothing for twice as long, and it is
/// noticed within another half of it, so that a silent one stops nobody for longer than 15 seconds.
const HEARTBEAT: u16 = 5;

/// The time limit for one attempt to connect. The library waits for ever when a connection breaks before it is
/// complete.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// The largest frame, in bytes. The library uses memory for 64 frames for each connection, and a message takes as
/// many frames as it needs: with the broker's default of 128 KiB a role would hold 25 MiB for nothing. All headers of
/// a message are sent in one frame, and no broker accepts a smaller limit.
const FRAME_MAX: u32 = 8 << 10;

/// How long the broker may take to confirm that a connection is closed.
const CLOSING: Duration = Duration::from_secs(2);
const REPLY_SUCCESS: u16 = 200;

/// An exchange that every broker has, and a routing key without a queue.
const PROBE: (&str, &str) = ("amq.direct", "taskledger.sign-of-life");

/// How often a connection is checked when no event reports a change.
const LOOK: Duration = Duration::from_secs(1);

/// A connection that is made again when it is lost.
#[derive(Debug)]
pub(super) struct BrokerConnection {
    session: watch::Receiver<Option<Arc<Session>>>,
    supervisor: AbortHandle,
    pub(super) counters: Arc<Counters>,
    /// Names of objects that exist with other properties than this build wants, and have been logged.
    otherwise: DashSet<ShortString>,
}

/// The purpose of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Publishing messages and probes. The broker tells only publishers that it is short of resources, and then reads
    /// nothing from them.
    Publishing,
    /// Operations that have to work while the broker accepts no messages, such as setting up a consumer.
    Other,
}

/// One connection from its beginning to its loss.
#[derive(Debug)]
struct Session {
    connection: Connection,
    lost: CancellationToken,
    /// The channel for probes, on a connection that publishes.
    probe: Option<Channel>,
}

impl Session {
    async fn channel(&self) -> Result<BrokerChannel, BusError> {
        let opening = self.lost.run_until_cancelled(self.connection.create_channel());
        let channel =
            timeout(BROKER_TIMEOUT, opening).await.map_err(|_| silent(BROKER_TIMEOUT))?.ok_or_else(lost)?;
        Ok(BrokerChannel::new(
            channel.map_err(BusError::unavailable)?,
            self.lost.clone(),
            self.connection.configuration().frame_max(),
        ))
    }

    /// Publishes a message without a destination. A broker that is short of memory or disk tells only publishers.
    async fn probe(&self) {
        let Some(channel) = self.probe.as_ref().filter(|_| !self.connection.status().blocked()) else {
            return;
        };
        let (exchange, key) = PROBE;
        let publishing = channel.basic_publish(
            exchange.into(),
            key.into(),
            BasicPublishOptions::default(),
            &[],
            BasicProperties::default(),
        );
        // A failure either ends the connection or does no harm: the connection's status shows it.
        if let Ok(Err(error)) = timeout(LOOK, publishing).await {
            tracing::debug!(%error, "could not send a sign of life to the broker");
        }
    }
}

impl BrokerConnection {
    /// Connects for the first time. The broker shows `name`.
    pub(super) async fn open(
        mut address: Address,
        name: String,
        purpose: Purpose,
        counters: Arc<Counters>,
    ) -> Result<Arc<Self>, BusError> {
        let uri = &mut address.uri;
        uri.query.heartbeat.get_or_insert(HEARTBEAT);
        uri.query.frame_max.get_or_insert(FRAME_MAX);
        uri.query.connection_timeout.get_or_insert(HANDSHAKE.as_millis() as u64);
        let place = format!("{}:{}", uri.authority.host, uri.authority.port);
        let first = connect(&address, &name, purpose).await.map_err(|error| match error {
            BusError::Unavailable(reason) => {
                BusError::unavailable(format!("cannot connect to {place}: {reason}"))
            }
            other => other,
        })?;
        let (sender, session) = watch::channel(Some(Arc::new(first)));
        let supervisor = runtime::spawn("connection to RabbitMQ", async move {
            restarted_after_panic(&name, || supervise(&address, &name, purpose, &sender)).await;
        });
        Ok(Arc::new(Self {
            session,
            supervisor: supervisor.abort_handle(),
            counters,
            otherwise: DashSet::new(),
        }))
    }

    fn current(&self) -> Option<Arc<Session>> {
        let alive =
            |session: &&Arc<Session>| session.connection.status().connected() && !session.lost.is_cancelled();
        self.session.borrow().as_ref().filter(alive).cloned()
    }

    async fn connected(&self) -> Arc<Session> {
        let mut session = self.session.clone();
        loop {
            if let Some(current) = self.current() {
                return current;
            }
            if session.changed().await.is_err() {
                // The supervisor has ended, and with it the runtime.
                return std::future::pending().await;
            }
        }
    }

    /// Opens a channel over the present connection.
    pub(super) async fn channel_now(&self) -> Result<BrokerChannel, BusError> {
        self.current().ok_or_else(lost)?.channel().await
    }

    /// Opens a channel, and waits for a connection if necessary.
    pub(super) async fn channel(&self) -> Result<BrokerChannel, BusError> {
        let session = timeout(BROKER_TIMEOUT, self.connected()).await.map_err(|_| silent(BROKER_TIMEOUT))?;
        session.channel().await
    }

    /// Fails at once when the connection cannot be used now.
    pub(super) fn expect_usable(&self) -> Result<(), BusError> {
        if self.is_usable() {
            Ok(())
        } else {
            Err(BusError::unavailable("the connection is lost, or the broker takes no messages"))
        }
    }

    /// Whether there is a connection and the broker accepts messages.
    pub(super) fn is_usable(&self) -> bool {
        self.current().is_some_and(|session| !session.connection.status().blocked())
    }

    /// Logs once that `name` exists on the broker with other properties than this build wants.
    pub(super) fn say_once(&self, name: &ShortString, error: &BusError) {
        if self.otherwise.insert(name.clone()) {
            tracing::warn!(
                %name,
                %error,
                "it was declared otherwise, perhaps by another release, and is used as it is: \
                 delete it on the broker, and it comes back as this release wants it"
            );
        }
    }

    /// Closes the connection for good.
    pub(super) async fn close(&self) {
        self.supervisor.abort();
        let session = self.session.borrow().clone();
        if let Some(session) = session {
            let closing = session.connection.close(REPLY_SUCCESS, "stopped".into());
            match timeout(CLOSING, closing).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "the connection was closed already"),
                Err(_) => tracing::debug!("the broker did not confirm the end of a connection"),
            }
        }
    }
}

impl Drop for BrokerConnection {
    fn drop(&mut self) {
        self.supervisor.abort();
    }
}

/// Connects without the library's own recovery, which would declare the old topology again without telling users that
/// messages were missed.
async fn connect(address: &Address, name: &str, purpose: Purpose) -> Result<Session, BusError> {
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let builder = DefaultConnectionBuilder::new()
        .map_err(BusError::unavailable)?
        .with_uri(address.uri.clone())
        .with_properties(properties)
        .with_tls_config(address.tls.clone());
    let connection = timeout(BROKER_TIMEOUT, builder.connect())
        .await
        .map_err(|_| silent(BROKER_TIMEOUT))?
        .map_err(BusError::unavailable)?;
    let probe = match purpose {
        Purpose::Other => None,
        Purpose::Publishing => {
            let opening = timeout(BROKER_TIMEOUT, connection.create_channel());
            let channel = opening.await.map_err(|_| silent(BROKER_TIMEOUT))?;
            Some(channel.map_err(BusError::unavailable)?)
        }
    };
    Ok(Session { connection, lost: CancellationToken::new(), probe })
}

async fn supervise(
    address: &Address,
    name: &str,
    purpose: Purpose,
    sender: &watch::Sender<Option<Arc<Session>>>,
) {
    let mut backoff = BACKOFF;
    loop {
        let session = sender.borrow().clone();
        if let Some(session) = session {
            // Also when this task is ended.
            let _lost = session.lost.clone().drop_guard();
            let mut reason = None;
            if !session.lost.is_cancelled() {
                reason = ended(&session, session.connection.events_listener(), name).await;
            }
            let reason = reason.map(|reason| reason.to_string());
            tracing::warn!(connection = name, reason, "lost the connection to RabbitMQ");
            sender.send_replace(None);
        }
        backoff.wait().await;
        match connect(address, name, purpose).await {
            Ok(session) => {
                tracing::info!(connection = name, "connected to RabbitMQ again");
                backoff.reset();
                sender.send_replace(Some(Arc::new(session)));
            }
            Err(error) => tracing::warn!(connection = name, %error, "cannot connect to RabbitMQ yet"),
        }
    }
}

/// Returns when the connection cannot be used any more, with the reason if the library knows one.
async fn ended(session: &Session, events: impl Stream<Item = Event>, name: &str) -> Option<lapin::Error> {
    let mut events = pin!(events);
    let mut reason = None;
    while session.connection.status().connected() {
        session.probe().await;
        match timeout(LOOK, events.next()).await {
            Ok(Some(Event::ConnectionBlocked(reason))) => {
                tracing::warn!(connection = name, reason, "RabbitMQ takes no messages for now");
            }
            Ok(Some(Event::ConnectionUnblocked)) => {
                tracing::info!(connection = name, "RabbitMQ takes messages again");
            }
            Ok(Some(Event::Error(error))) => reason = reason.or(Some(error)),
            Ok(Some(_)) | Err(_) => {}
            Ok(None) => break,
        }
    }
    // It may have ended while no event was awaited.
    while let Some(Some(event)) = events.next().now_or_never() {
        if let Event::Error(error) = event {
            reason = reason.or(Some(error));
        }
    }
    reason
}
