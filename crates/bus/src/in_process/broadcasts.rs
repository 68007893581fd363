//! Broadcasts within the process. A listener that falls behind hears a gap.

use async_trait::async_trait;
use bytes::Bytes;
use dashmap::DashMap;
use tokio::sync::broadcast::{self, error::RecvError};

use crate::{Heard, Listener};

/// The most messages that a listener may be behind.
const BACKLOG: usize = 1_024;

/// All topics that have had a listener.
#[derive(Debug, Default)]
pub(super) struct Broadcasts {
    topics: DashMap<String, broadcast::Sender<Bytes>>,
}

impl Broadcasts {
    pub(super) fn send(&self, topic: &str, message: Bytes) {
        if let Some(sender) = self.topics.get(topic) {
            // Fails only when there is no listener any more, which does no harm.
            let _ = sender.send(message);
        }
    }

    pub(super) fn listen(&self, topic: &str) -> Topic {
        let sender = self.topics.entry(topic.to_owned()).or_insert_with(|| broadcast::Sender::new(BACKLOG));
        Topic { receiver: sender.subscribe() }
    }
}

/// One listener to one topic.
#[derive(Debug)]
pub(super) struct Topic {
    receiver: broadcast::Receiver<Bytes>,
}

#[async_trait]
impl Listener for Topic {
    async fn next(&mut self) -> Heard {
        match self.receiver.recv().await {
            Ok(message) => Heard::Message(message),
            Err(RecvError::Lagged(_)) => Heard::Gap,
            // The bus is gone: no message will arrive.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}
