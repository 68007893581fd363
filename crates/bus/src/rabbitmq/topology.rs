//! Declares exchanges and queues. If they exist with other properties, they are used as they are. They are checked
//! regularly while in use, because an operator may delete them.

use std::time::{Duration, Instant};

use lapin::{
    ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{FieldTable, ShortString},
};
use tokio::sync::Notify;

use super::{channel::BrokerChannel, connection::BrokerConnection};
use crate::BusError;

/// The longest time between two checks that the objects of a consumer exist.
pub(super) const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// The broker's answer when the user lacks the right.
const ACCESS_REFUSED: u16 = 403;
/// The broker's answer when something exists with other arguments.
const PRECONDITION_FAILED: u16 = 406;
/// The broker's answer when something does not exist.
pub(super) const NOT_FOUND: u16 = 404;

/// A queue as this build wants it.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    pub(super) name: ShortString,
    pub(super) options: QueueDeclareOptions,
    pub(super) arguments: FieldTable,
    /// The binding to an exchange.
    pub(super) binding: Binding,
}

/// The binding of a queue.
#[derive(Debug, Clone)]
pub(super) struct Binding {
    pub(super) exchange: ShortString,
    pub(super) kind: ExchangeKind,
    pub(super) key: ShortString,
    /// For an exchange whose listeners must notice when it was deleted: how long it is left missing before it is
    /// declared. It belongs to others, and the user of this process may lack the right to declare it.
    pub(super) left_missing: Option<Duration>,
}

impl Binding {
    /// Declares the exchange; one that is left missing for a while only if it does not exist, after having notified
    /// `missing`. Returns the channel to use from now on.
    async fn declare_exchange(
        &self,
        connection: &BrokerConnection,
        channel: BrokerChannel,
        missing: &Notify,
    ) -> Result<BrokerChannel, BusError> {
        let Some(left_missing) = self.left_missing else {
            return declare_exchange(connection, channel, &self.exchange, &self.kind).await;
        };
        match look_for_exchange(&channel, &self.exchange, &self.kind).await {
            Ok(()) => return Ok(channel),
            Err(error) if error.reply_code() == Some(NOT_FOUND) => missing.notify_one(),
            Err(error) => return Err(error),
        }
        tokio::time::sleep(left_missing).await;
        let channel = connection.channel().await?;
        match declare_exchange(connection, channel, &self.exchange, &self.kind).await {
            // Those who may declare it have come meanwhile, or not yet.
            Err(error) if error.reply_code() == Some(ACCESS_REFUSED) => {
                let channel = connection.channel().await?;
                look_for_exchange(&channel, &self.exchange, &self.kind).await.map(|()| channel)
            }
            declared => declared,
        }
    }
}

impl Queue {
    /// A channel over which the queue, its exchange and its binding have been declared, and the time at which the queue
    /// was bound, or just before. Notifies `missing` when the exchange is missing and left so for a while.
    pub(super) async fn declare(
        &self,
        connection: &BrokerConnection,
        missing: &Notify,
    ) -> Result<(BrokerChannel, Instant), BusError> {
        let mut channel = connection.channel().await?;
        channel = self.binding.declare_exchange(connection, channel, missing).await?;
        let declaring = channel.raw().queue_declare(self.name.clone(), self.options, self.arguments.clone());
        match channel.wait(declaring).await {
            Ok(_) => {}
            Err(error) if error.reply_code() == Some(PRECONDITION_FAILED) => {
                connection.say_once(&self.name, &error);
                channel = connection.channel().await?;
                self.expect(&channel).await?;
            }
            Err(error) => return Err(error),
        }
        let bound = self.bind(&channel).await?;
        Ok((channel, bound))
    }

    /// Checks that exchange and queue exist, and binds them. The broker closes the channel when one is missing. Returns
    /// the time as [`declare`](Self::declare) does.
    pub(super) async fn look(&self, channel: &BrokerChannel) -> Result<Instant, BusError> {
        if self.binding.left_missing.is_none() {
            look_for_exchange(channel, &self.binding.exchange, &self.binding.kind).await?;
            self.expect(channel).await?;
        }
        // Where the time counts, this alone: the broker refuses to bind what is missing.
        self.bind(channel).await
    }

    /// Fails unless the queue exists, whatever its arguments.
    async fn expect(&self, channel: &BrokerChannel) -> Result<(), BusError> {
        let passive = QueueDeclareOptions::durable().passive();
        channel
            .wait(channel.raw().queue_declare(self.name.clone(), passive, FieldTable::default()))
            .await
            .map(drop)
    }

    /// Returns the time just before.
    async fn bind(&self, channel: &BrokerChannel) -> Result<Instant, BusError> {
        let Binding { exchange, key, .. } = &self.binding;
        let before = Instant::now();
        channel
            .wait(channel.raw().queue_bind(
                self.name.clone(),
                exchange.clone(),
                key.clone(),
                QueueBindOptions::default(),
                FieldTable::default(),
            ))
            .await?;
        Ok(before)
    }
}

/// Checks that an exchange exists, for which no right is needed. The broker closes the channel when it does not.
pub(super) async fn look_for_exchange(
    channel: &BrokerChannel,
    name: &ShortString,
    kind: &ExchangeKind,
) -> Result<(), BusError> {
    let passive = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
    let looking = channel.raw().exchange_declare(name.clone(), kind.clone(), passive, FieldTable::default());
    channel.wait(looking).await
}

/// Declares a durable exchange, or uses an existing one as it is. Returns the channel to use from now on: the broker
/// closes a channel after refusing an operation.
pub(super) async fn declare_exchange(
    connection: &BrokerConnection,
    channel: BrokerChannel,
    name: &ShortString,
    kind: &ExchangeKind,
) -> Result<BrokerChannel, BusError> {
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let declaring =
        channel.raw().exchange_declare(name.clone(), kind.clone(), options, FieldTable::default());
    match channel.wait(declaring).await {
        Ok(()) => Ok(channel),
        Err(error) if error.reply_code() == Some(PRECONDITION_FAILED) => {
            connection.say_once(name, &error);
            connection.channel().await
        }
        Err(error) => Err(error),
    }
}
