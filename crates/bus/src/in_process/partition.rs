//! One partition's queue: a single active consumer, the others wait for their turn.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::{EventConsumer, EventMessage, MAX_UNACKNOWLEDGED, MAX_WAITING};

/// The queue of one partition. It exists from the first consumer on and outlives them all.
#[derive(Debug, Default)]
pub(super) struct Partition {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<EventMessage>,
    unacknowledged: VecDeque<EventMessage>,
    /// The active one first, then those that take over, in this order.
    consumers: VecDeque<u64>,
    last_consumer: u64,
}

impl Partition {
    pub(super) fn push(&self, message: EventMessage) {
        let mut state = self.lock();
        if state.waiting.len() >= MAX_WAITING as usize {
            state.waiting.pop_front();
        }
        state.waiting.push_back(message);
        drop(state);
        self.changed.notify_waiters();
    }

    // A panic cannot leave the state half changed, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One consumer of a [`Partition`]; dropping it returns what it has not acknowledged.
#[derive(Debug)]
pub(super) struct Consumer {
    partition: Arc<Partition>,
    id: u64,
}

impl Consumer {
    pub(super) fn new(partition: Arc<Partition>) -> Self {
        let id = {
            let mut state = partition.lock();
            state.last_consumer += 1;
            let id = state.last_consumer;
            state.consumers.push_back(id);
            id
        };
        Self { partition, id }
    }

    fn take(&self, max: usize) -> Vec<EventMessage> {
        let mut state = self.partition.lock();
        if state.consumers.front() != Some(&self.id) {
            return Vec::new();
        }
        let room = usize::from(MAX_UNACKNOWLEDGED).saturating_sub(state.unacknowledged.len());
        let count = max.max(1).min(room).min(state.waiting.len());
        let taken: Vec<_> = state.waiting.drain(..count).collect();
        state.unacknowledged.extend(taken.iter().cloned());
        taken
    }
}

#[async_trait]
impl EventConsumer for Consumer {
    async fn next(&mut self, max: usize) -> Vec<EventMessage> {
        loop {
            let changed = self.partition.changed.notified();
            let taken = self.take(max);
            if !taken.is_empty() {
                return taken;
            }
            changed.await;
        }
    }

    async fn acknowledge(&mut self) {
        let mut state = self.partition.lock();
        if state.consumers.front() == Some(&self.id) {
            state.unacknowledged.clear();
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        let mut state = self.partition.lock();
        if state.consumers.front() == Some(&self.id) {
            while let Some(message) = state.unacknowledged.pop_back() {
                state.waiting.push_front(message);
            }
        }
        state.consumers.retain(|id| *id != self.id);
        drop(state);
        self.partition.changed.notify_waiters();
    }
}
