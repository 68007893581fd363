//! The event log behind one object-safe trait. To add a backend, implement [`EventStore`] in a file of its
//! own and run the conformance suite of `tests/conformance/` against it.
//!
//! The SQL backends share one idea: all appends of a process go through one task (`appender/`), which
//! commits whatever has arrived while the last batch was being committed.

mod append;
mod append_metrics;
mod appender;
mod dropping;
mod error;
mod fair_queue;
mod identity;
mod import;
#[cfg(feature = "kurrentdb")]
mod kurrentdb;
mod log_range;
mod missing_positions;
mod open;
mod page;
mod sql;
mod store;
mod stored_events;
mod watch;

pub use dropping::DropError;
pub use error::{OpenError, StoreError};
pub use identity::{agrees, has_all, head_point};
pub use import::{ImportError, UnfinishedImport, check_import};
#[cfg(feature = "kurrentdb")]
pub use kurrentdb::KurrentDbStore;
pub use log_range::LogRange;
pub use missing_positions::{MissingPositions, describe_gap};
pub use open::{check_url, is_kurrentdb, open};
pub use page::{Entry, PAGE_BYTES, Page, Unreadable, position, subject_of};
pub use sql::SqlStore;
pub use store::{Appended, EventStore, StoredPage, StreamHead, for_each_entry};
pub use stored_events::StoredEvents;
pub use watch::LogWatch;
