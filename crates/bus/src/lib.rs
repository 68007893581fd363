//! The message bus behind one object-safe trait, with two implementations: over RabbitMQ, and inside one process.

mod bus;
mod collector;
mod counts;
mod in_process;
mod rabbitmq;

pub use bus::{
    Bus, BusError, EventConsumer, EventMessage, Heard, Listener, MAX_UNACKNOWLEDGED, MAX_WAITING, Refusal,
    Responder, ResponderOptions,
};
pub use collector::BusCollector;
pub use counts::BusCounts;
pub use in_process::InProcessBus;
pub use rabbitmq::{RabbitBus, RabbitOptions};

/// The most requests of one process that wait for a reply at once.
const MAX_OUTSTANDING: usize = 4_096;
