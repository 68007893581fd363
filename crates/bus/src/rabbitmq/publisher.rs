//! Publishes events and broadcasts, and waits until the broker has confirmed each of them.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use lapin::{
    BasicProperties, Confirmation, ExchangeKind, PublisherConfirm, options::ConfirmSelectOptions,
    types::ShortString,
};
use tokio::sync::Mutex;

use super::{cloud_event, line::Line, link::Link, names::Names};
use crate::{BusError, EventMessage};

/// Messages on their way at once. Each such batch has the broker's whole patience to be confirmed.
const BATCH: usize = 1_000;

/// The publishing side of the bus.
#[derive(Debug)]
pub(super) struct Publisher {
    link: Arc<Link>,
    names: Names,
    open: Mutex<Option<Open>>,
}

/// A channel in confirm mode, and the fanout exchanges declared over it.
#[derive(Debug)]
struct Open {
    line: Line,
    declared: HashSet<ShortString>,
}

impl Publisher {
    pub(super) fn new(link: Arc<Link>, names: Names) -> Self {
        Self {
            link,
            names,
            open: Mutex::new(None),
        }
    }

    pub(super) async fn publish(&self, messages: &[EventMessage]) -> Result<(), BusError> {
        if messages.is_empty() {
            return Ok(());
        }
        let exchange = self.names.events()?;
        let line = self.line(None).await?;
        for batch in messages.chunks(BATCH) {
            if let Err(error) = line.wait_for(send(&line, &exchange, batch)).await {
                self.discard(&line).await;
                return Err(error);
            }
        }
        Ok(())
    }

    pub(super) async fn broadcast(&self, topic: &str, message: Bytes) -> Result<(), BusError> {
        let exchange = self.names.broadcast(topic)?;
        let line = self.line(Some(&exchange)).await?;
        let sent = line.wait_for(async {
            let key = ShortString::default();
            let written = line.publish(exchange, key, false, &message, BasicProperties::default());
            confirmed(written.await.map_err(BusError::unavailable)?).await
        });
        if let Err(error) = sent.await {
            self.discard(&line).await;
            return Err(error);
        }
        Ok(())
    }

    /// The channel to publish over, with the fanout exchange `fanout` declared if one is given. Does not wait
    /// for a connection: the caller knows better whether to try again.
    async fn line(&self, fanout: Option<&ShortString>) -> Result<Line, BusError> {
        let mut guard = self.open.lock().await;
        let mut open = match guard.take() {
            Some(open) if open.line.is_open() => open,
            _ => self.open().await?,
        };
        if let Some(exchange) = fanout
            && !open.declared.contains(exchange)
        {
            open.line.declare(exchange, ExchangeKind::Fanout).await?;
            open.declared.insert(exchange.clone());
        }
        Ok(guard.insert(open).line.clone())
    }

    async fn open(&self) -> Result<Open, BusError> {
        let line = self.link.line_now().await?;
        line.wait(line.channel().confirm_select(ConfirmSelectOptions::default()))
            .await?;
        line.declare(&self.names.events()?, ExchangeKind::Topic).await?;
        Ok(Open {
            line,
            declared: HashSet::new(),
        })
    }

    /// After an error the next publication starts over with a fresh channel: confirms still outstanding on this
    /// one are nobody's any more.
    async fn discard(&self, line: &Line) {
        let mut guard = self.open.lock().await;
        if guard
            .as_ref()
            .is_some_and(|open| open.line.channel().id() == line.channel().id())
        {
            *guard = None;
        }
    }
}

/// Sends all of `batch`, then waits for all confirms.
async fn send(line: &Line, exchange: &ShortString, batch: &[EventMessage]) -> Result<(), BusError> {
    let mut writes = Vec::with_capacity(batch.len());
    for message in batch {
        let key = cloud_event::routing_key(message)?;
        let properties = cloud_event::properties(message)?;
        writes.push(line.publish(exchange.clone(), key, false, &message.event.data, properties));
    }
    let mut confirms = Vec::with_capacity(batch.len());
    for write in writes {
        confirms.push(write.await.map_err(BusError::unavailable)?);
    }
    for confirm in confirms {
        confirmed(confirm).await?;
    }
    Ok(())
}

async fn confirmed(confirm: PublisherConfirm) -> Result<(), BusError> {
    match confirm.await.map_err(BusError::unavailable)? {
        Confirmation::Ack(_) => Ok(()),
        Confirmation::Nack(_) => Err(BusError::unavailable("the broker refused a message")),
        Confirmation::NotRequested => Err(BusError::unavailable(
            "the broker confirms nothing on this channel",
        )),
    }
}
