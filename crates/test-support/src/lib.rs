//! What the tests of several crates need: databases of their own, a clock, a store and a bus that fail, waiting for a
//! condition. Only tests depend on it, so it may panic.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails is a test that fails")]

mod authority;
mod clock;
mod event;
mod eventually;
mod faulty_bus;
mod faulty_store;
mod named_pipe;
mod new_event;
mod read_all;
mod servers;
mod subject_keys;
mod test_database;
mod test_storage;
mod totp;

pub use authority::{Authority, Issued};
pub use clock::TestClock;
pub use event::event;
pub use eventually::{eventually, once_within, until};
pub use faulty_bus::FaultyBus;
pub use faulty_store::{Cost, FaultyStore};
pub use named_pipe::{make_pipe, open_pipe};
pub use new_event::{metadata_about, new_event};
pub use read_all::read_all;
pub use servers::{amqp_url, postgres_url};
pub use subject_keys::{sealed, subject_keys};
pub use test_database::TestDatabase;
pub use test_storage::{Footing, TestStorage};
pub use totp::totp_code;
