//! Exchanges and queues: declared as this build wants them, taken as they are where they exist otherwise, and looked at
//! now and then while they are used, since an operator may delete any of them under a living connection.

use std::time::Duration;

use lapin::{
    ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{FieldTable, ShortString},
};

use super::{channel::BrokerChannel, connection::BrokerConnection};
use crate::BusError;

/// How often whoever consumes looks whether what it consumes from is still there, at the least.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(2);

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
    /// The exchange that it is bound to, and by which key.
    pub(super) binding: Option<Binding>,
}

/// The binding of a queue.
#[derive(Debug, Clone)]
pub(super) struct Binding {
    pub(super) exchange: ShortString,
    pub(super) kind: ExchangeKind,
    pub(super) key: ShortString,
}

impl Queue {
    /// A channel over which the queue, its exchange and its binding have been declared.
    pub(super) async fn declare(&self, connection: &BrokerConnection) -> Result<BrokerChannel, BusError> {
        let mut channel = connection.channel().await?;
        if let Some(binding) = &self.binding {
            channel = declare_exchange(connection, channel, &binding.exchange, &binding.kind).await?;
        }
        let declaring = channel
            .raw()
            .queue_declare(self.name.clone(), self.options, self.arguments.clone());
        match channel.wait(declaring).await {
            Ok(_) => {}
            Err(error) if error.reply_code() == Some(PRECONDITION_FAILED) => {
                connection.say_once(&self.name, &error);
                channel = connection.channel().await?;
                self.expect(&channel).await?;
            }
            Err(error) => return Err(error),
        }
        self.bind(&channel).await?;
        Ok(channel)
    }

    /// Looks whether exchange and queue are there, and makes sure of the binding. The channel is closed when one is not.
    pub(super) async fn look(&self, channel: &BrokerChannel) -> Result<(), BusError> {
        if let Some(binding) = &self.binding {
            let passive = ExchangeDeclareOptions {
                passive: true,
                ..ExchangeDeclareOptions::default()
            };
            let looking = channel.raw().exchange_declare(
                binding.exchange.clone(),
                binding.kind.clone(),
                passive,
                FieldTable::default(),
            );
            channel.wait(looking).await?;
        }
        self.expect(channel).await?;
        self.bind(channel).await
    }

    /// Fails unless the queue exists, whatever its arguments.
    async fn expect(&self, channel: &BrokerChannel) -> Result<(), BusError> {
        let passive = QueueDeclareOptions::durable().passive();
        channel
            .wait(
                channel
                    .raw()
                    .queue_declare(self.name.clone(), passive, FieldTable::default()),
            )
            .await
            .map(drop)
    }

    async fn bind(&self, channel: &BrokerChannel) -> Result<(), BusError> {
        let Some(Binding { exchange, key, .. }) = &self.binding else {
            return Ok(());
        };
        channel
            .wait(channel.raw().queue_bind(
                self.name.clone(),
                exchange.clone(),
                key.clone(),
                QueueBindOptions::default(),
                FieldTable::default(),
            ))
            .await
    }
}

/// Declares a durable exchange, or takes it as it is. Returns the channel to go on with: the broker closes the one over
/// which it refuses something.
pub(super) async fn declare_exchange(
    connection: &BrokerConnection,
    channel: BrokerChannel,
    name: &ShortString,
    kind: &ExchangeKind,
) -> Result<BrokerChannel, BusError> {
    let options = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    let declaring =
        channel
            .raw()
            .exchange_declare(name.clone(), kind.clone(), options, FieldTable::default());
    match channel.wait(declaring).await {
        Ok(()) => Ok(channel),
        Err(error) if error.reply_code() == Some(PRECONDITION_FAILED) => {
            connection.say_once(name, &error);
            connection.channel().await
        }
        Err(error) => Err(error),
    }
}
