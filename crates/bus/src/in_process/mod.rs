//! The bus inside one process. It keeps the same promises as RabbitMQ, with queues in memory.

mod broadcasts;
mod partition;
mod requests;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use dashmap::DashMap;
use events::PartitionCount;
use tokio::{sync::Semaphore, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    Bus, BusCounts, BusError, EventConsumer, EventMessage, Listener, MAX_OUTSTANDING, Responder,
    ResponderOptions, counts::Counters,
};
use broadcasts::Broadcasts;
use partition::{Consumer, Partition};
use requests::RequestQueue;

/// A bus inside one process.
#[derive(Debug)]
pub struct InProcessBus {
    /// By partition count and partition.
    partitions: DashMap<(u16, u16), Arc<Partition>>,
    requests: DashMap<String, Arc<RequestQueue>>,
    outstanding: Semaphore,
    broadcasts: Broadcasts,
    counters: Counters,
}

impl InProcessBus {
    /// An empty bus.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            partitions: DashMap::new(),
            requests: DashMap::new(),
            outstanding: Semaphore::new(MAX_OUTSTANDING),
            broadcasts: Broadcasts::default(),
            counters: Counters::default(),
        })
    }

    fn request_queue(&self, queue: &str) -> Arc<RequestQueue> {
        if let Some(found) = self.requests.get(queue) {
            return Arc::clone(&found);
        }
        Arc::clone(&self.requests.entry(queue.to_owned()).or_default())
    }
}

#[async_trait]
impl Bus for InProcessBus {
    async fn publish(&self, messages: &[EventMessage]) -> Result<(), BusError> {
        for message in messages {
            let key = (message.partitions.get(), message.partition);
            if let Some(partition) = self.partitions.get(&key) {
                let dropped = partition.push(message.clone());
                if dropped > 0 {
                    self.counters.lock().dropped += dropped;
                }
            }
        }
        Ok(())
    }

    async fn consume(
        &self,
        partitions: PartitionCount,
        partition: u16,
    ) -> Result<Box<dyn EventConsumer>, BusError> {
        let queue = Arc::clone(&self.partitions.entry((partitions.get(), partition)).or_default());
        Ok(Box::new(Consumer::new(queue)))
    }

    async fn request(&self, queue: &str, request: Bytes, deadline: Duration) -> Result<Bytes, BusError> {
        let _permit = self.outstanding.try_acquire().map_err(|_| BusError::Overloaded)?;
        let until = Instant::now() + deadline;
        let answer = self.request_queue(queue).push(request, until)?;
        match tokio::time::timeout(deadline, answer).await {
            Ok(Ok(reply)) => Ok(reply),
            // The server gives the request up at the same moment.
            Ok(Err(_)) if until <= Instant::now() => Err(BusError::Deadline(deadline)),
            Ok(Err(_)) => Err(BusError::unavailable(format!("whoever served `{queue}` has gone"))),
            Err(_) => Err(BusError::Deadline(deadline)),
        }
    }

    async fn serve(
        &self,
        queue: &str,
        options: ResponderOptions,
        responder: Arc<dyn Responder>,
        stop: CancellationToken,
    ) -> Result<(), BusError> {
        requests::serve(self.request_queue(queue), options, responder, stop).await;
        Ok(())
    }

    async fn broadcast(&self, topic: &str, message: Bytes) -> Result<(), BusError> {
        self.broadcasts.send(topic, message);
        Ok(())
    }

    async fn listen(&self, topic: &str) -> Result<Box<dyn Listener>, BusError> {
        Ok(Box::new(self.broadcasts.listen(topic)))
    }

    fn is_connected(&self) -> bool {
        true
    }

    fn counts(&self) -> BusCounts {
        *self.counters.lock()
    }
}
