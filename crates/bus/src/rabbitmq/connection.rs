//! One supervised connection. When it is lost it is made again; what ran over it is for its users to restore.

use std::{pin::pin, sync::Arc, time::Duration};

use dashmap::DashSet;
use futures::{Stream, StreamExt};
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

/// Seconds without a sign of life after which the broker is taken for lost.
const HEARTBEAT: u16 = 10;

/// How long one attempt to connect may take. The library waits for ever when a connection breaks before it is
/// complete.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Bytes of the largest frame. The library keeps room for 64 of these for each connection, and touches all of it, while a
/// message takes as many frames as it needs: with the broker's default of 128 KiB a role would hold 25 MiB for nothing.
/// All headers of a message travel in one, and no broker agrees on less.
const FRAME_MAX: u32 = 8 << 10;

/// How long the broker may take to confirm the end of a connection.
const CLOSING: Duration = Duration::from_secs(2);
const REPLY_SUCCESS: u16 = 200;

/// A routing key that leads nowhere.
const PROBE: &str = "taskledger.sign-of-life";

/// How often a connection is looked at even when no event says that it changed.
const LOOK: Duration = Duration::from_secs(1);

/// A connection that comes back.
#[derive(Debug)]
pub(super) struct BrokerConnection {
    session: watch::Receiver<Option<Arc<Session>>>,
    supervisor: AbortHandle,
    pub(super) counters: Arc<Counters>,
    /// What exists otherwise than this build wants it, and was said so.
    otherwise: DashSet<ShortString>,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Messages go out over it, and signs of life: the broker tells only those who publish that it is short of resources,
    /// and from then on reads nothing that they send.
    Publishing,
    /// What goes over it has to work while the broker takes no messages, such as setting up a consumer.
    Other,
}

/// One connection from its start to its loss.
#[derive(Debug)]
struct Session {
    connection: Connection,
    lost: CancellationToken,
    /// For signs of life to the broker, which tells only those who publish that it takes nothing.
    probe: Option<Channel>,
}

impl Session {
    async fn channel(&self) -> Result<BrokerChannel, BusError> {
        let opening = self.lost.run_until_cancelled(self.connection.create_channel());
        let channel = timeout(BROKER_TIMEOUT, opening)
            .await
            .map_err(|_| silent(BROKER_TIMEOUT))?
            .ok_or_else(lost)?;
        Ok(BrokerChannel::new(
            channel.map_err(BusError::unavailable)?,
            self.lost.clone(),
            self.connection.configuration().frame_max(),
        ))
    }
}

impl Session {
    /// Publishes a message that reaches nobody. A broker that is short of memory or disk tells only those who try to publish.
    async fn probe(&self) {
        let Some(channel) = self
            .probe
            .as_ref()
            .filter(|_| !self.connection.status().blocked())
        else {
            return;
        };
        let publishing = channel.basic_publish(
            ShortString::default(),
            PROBE.into(),
            BasicPublishOptions::default(),
            &[],
            BasicProperties::default(),
        );
        // A failure ends the connection or is none: the status says so.
        if let Ok(Err(error)) = timeout(LOOK, publishing).await {
            tracing::debug!(%error, "could not send a sign of life to the broker");
        }
    }
}

impl BrokerConnection {
    /// Connects for the first time. `name` is what the broker shows.
    pub(super) async fn open(
        mut address: Address,
        name: String,
        purpose: Purpose,
        counters: Arc<Counters>,
    ) -> Result<Arc<Self>, BusError> {
        let uri = &mut address.uri;
        uri.query.heartbeat.get_or_insert(HEARTBEAT);
        uri.query.frame_max.get_or_insert(FRAME_MAX);
        uri.query
            .connection_timeout
            .get_or_insert(HANDSHAKE.as_millis() as u64);
        let place = format!("{}:{}", uri.authority.host, uri.authority.port);
        let first = connect(&address, &name, purpose)
            .await
            .map_err(|error| BusError::unavailable(format!("cannot connect to {place}: {error}")))?;
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
                // The supervisor is gone, and with it the runtime.
                return std::future::pending().await;
            }
        }
    }

    /// Opens a channel over the connection that there is now.
    pub(super) async fn channel_now(&self) -> Result<BrokerChannel, BusError> {
        self.current().ok_or_else(lost)?.channel().await
    }

    /// Opens a channel, and waits for a connection if there is none.
    pub(super) async fn channel(&self) -> Result<BrokerChannel, BusError> {
        let session = timeout(BROKER_TIMEOUT, self.connected())
            .await
            .map_err(|_| silent(BROKER_TIMEOUT))?;
        session.channel().await
    }

    /// Fails at once when the connection cannot be used now.
    pub(super) fn expect_usable(&self) -> Result<(), BusError> {
        if self.is_usable() {
            Ok(())
        } else {
            Err(BusError::unavailable(
                "the connection is lost, or the broker takes no messages",
            ))
        }
    }

    /// Whether the connection can be used now: it is there, and the broker takes messages.
    pub(super) fn is_usable(&self) -> bool {
        self.current()
            .is_some_and(|session| !session.connection.status().blocked())
    }

    /// Says, the first time, that `name` exists on the broker in another way than this build wants it.
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

    /// Ends the connection in order, and does not make it again.
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

/// The library's own recovery is left off: it would replay old topology behind its users' backs, who could not
/// tell that messages were missed.
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
    Ok(Session {
        connection,
        lost: CancellationToken::new(),
        probe,
    })
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
            if !session.lost.is_cancelled() {
                ended(&session, session.connection.events_listener(), name).await;
            }
            tracing::warn!(connection = name, "lost the connection to RabbitMQ");
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

/// Returns when the connection is of no use any more.
async fn ended(session: &Session, events: impl Stream<Item = Event>, name: &str) {
    let mut events = pin!(events);
    while session.connection.status().connected() {
        session.probe().await;
        match timeout(LOOK, events.next()).await {
            Ok(Some(Event::ConnectionBlocked(reason))) => {
                tracing::warn!(connection = name, reason, "RabbitMQ takes no messages for now");
            }
            Ok(Some(Event::ConnectionUnblocked)) => {
                tracing::info!(connection = name, "RabbitMQ takes messages again");
            }
            Ok(Some(_)) | Err(_) => {}
            Ok(None) => return,
        }
    }
}
