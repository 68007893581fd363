//! The queue of one partition: one consumer is active, the others wait for their turn.

use std::{collections::VecDeque, sync::Arc};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{EventConsumer, EventMessage, MAX_UNACKNOWLEDGED, MAX_WAITING};

/// The most bytes that wait in the queue of a partition, and that a consumer may hold without acknowledging them.
/// Few, because a dropped message costs little: the store has it.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// The approximate size of a message without its payload.
const OVERHEAD: usize = 512;

/// The queue of one partition. It exists from the first consumer on, and is never removed.
#[derive(Debug, Default)]
pub(super) struct Partition {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<EventMessage>,
    waiting_bytes: usize,
    unacknowledged: VecDeque<EventMessage>,
    unacknowledged_bytes: usize,
    /// The active consumer first, then the others in the order of their turns.
    consumers: VecDeque<u64>,
    last_consumer: u64,
}

impl Partition {
    /// Adds a message, and returns how many of the oldest were dropped.
    pub(super) fn push(&self, message: EventMessage) -> u64 {
        let mut state = self.state.lock();
        state.waiting_bytes += size(&message);
        state.waiting.push_back(message);
        let mut dropped = 0;
        while state.waiting.len() > MAX_WAITING as usize || state.waiting_bytes > MAX_BYTES {
            let Some(oldest) = state.waiting.pop_front() else {
                break;
            };
            state.waiting_bytes -= size(&oldest);
            dropped += 1;
        }
        drop(state);
        self.changed.notify_waiters();
        dropped
    }
}

fn size(message: &EventMessage) -> usize {
    message.event.data.len() + OVERHEAD
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
            let mut state = partition.state.lock();
            state.last_consumer += 1;
            let id = state.last_consumer;
            state.consumers.push_back(id);
            id
        };
        Self { partition, id }
    }

    fn take(&self, max: usize) -> Vec<EventMessage> {
        let mut state = self.partition.state.lock();
        if state.consumers.front() != Some(&self.id) {
            return Vec::new();
        }
        let room = usize::from(MAX_UNACKNOWLEDGED).saturating_sub(state.unacknowledged.len());
        let mut taken = Vec::new();
        while taken.len() < max.max(1).min(room) && state.unacknowledged_bytes < MAX_BYTES {
            let Some(message) = state.waiting.pop_front() else {
                break;
            };
            state.waiting_bytes -= size(&message);
            state.unacknowledged_bytes += size(&message);
            state.unacknowledged.push_back(message.clone());
            taken.push(message);
        }
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
        let mut state = self.partition.state.lock();
        if state.consumers.front() == Some(&self.id) {
            state.unacknowledged.clear();
            state.unacknowledged_bytes = 0;
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        let mut state = self.partition.state.lock();
        if state.consumers.front() == Some(&self.id) {
            while let Some(message) = state.unacknowledged.pop_back() {
                state.waiting_bytes += size(&message);
                state.waiting.push_front(message);
            }
            state.unacknowledged_bytes = 0;
        }
        state.consumers.retain(|id| *id != self.id);
        drop(state);
        self.partition.changed.notify_waiters();
    }
}
