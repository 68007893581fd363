//! Exchanges and queues: declared as this build wants them, taken as they are where they exist otherwise, and looked at
//! now and then while they are used, since an operator may delete any of them under a living connection.

use std::time::Duration;

use lapin::{
    ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{FieldTable, ShortString},
};

use super::{line::Line, link::Link};
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
    pub(super) async fn declare(&self, link: &Link) -> Result<Line, BusError> {
        let mut line = link.line().await?;
        if let Some(binding) = &self.binding {
            line = declare_exchange(link, line, &binding.exchange, &binding.kind).await?;
        }
        let declaring = line
            .channel()
            .queue_declare(self.name.clone(), self.options, self.arguments.clone());
        match line.wait(declaring).await {
            Ok(_) => {}
            Err(error) if error.reply_code() == Some(PRECONDITION_FAILED) => {
                link.say_once(&self.name, &error);
                line = link.line().await?;
                self.expect(&line).await?;
            }
            Err(error) => return Err(error),
        }
        self.bind(&line).await?;
        Ok(line)
    }

    /// Looks whether exchange and queue are there, and makes sure of the binding. The channel is closed when one is not.
    pub(super) async fn look(&self, line: &Line) -> Result<(), BusError> {
        if let Some(binding) = &self.binding {
            let passive = ExchangeDeclareOptions {
                passive: true,
                ..ExchangeDeclareOptions::default()
            };
            let looking = line.channel().exchange_declare(
                binding.exchange.clone(),
                binding.kind.clone(),
                passive,
                FieldTable::default(),
            );
            line.wait(looking).await?;
        }
        self.expect(line).await?;
        self.bind(line).await
    }

    /// Fails unless the queue exists, whatever its arguments.
    async fn expect(&self, line: &Line) -> Result<(), BusError> {
        let passive = QueueDeclareOptions::durable().passive();
        line.wait(
            line.channel()
                .queue_declare(self.name.clone(), passive, FieldTable::default()),
        )
        .await
        .map(drop)
    }

    async fn bind(&self, line: &Line) -> Result<(), BusError> {
        let Some(Binding { exchange, key, .. }) = &self.binding else {
            return Ok(());
        };
        line.wait(line.channel().queue_bind(
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
    link: &Link,
    line: Line,
    name: &ShortString,
    kind: &ExchangeKind,
) -> Result<Line, BusError> {
    let options = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    let declaring =
        line.channel()
            .exchange_declare(name.clone(), kind.clone(), options, FieldTable::default());
    match line.wait(declaring).await {
        Ok(()) => Ok(line),
        Err(error) if error.reply_code() == Some(PRECONDITION_FAILED) => {
            link.say_once(name, &error);
            link.line().await
        }
        Err(error) => Err(error),
    }
}
