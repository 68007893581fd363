//! Encrypts ("seals") the personal parts of events under a key for each person, so that destroying a key erases the
//! person from a log that is never changed.
//!
//! [`SealedStore`] wraps the event store: callers append and read plain events, and the log has encrypted ones. The
//! relay and the audit tree need the stored records, and use the store inside. [`SubjectKeys`] stores the keys of
//! people, encrypted ("wrapped") by the [`MasterKeys`], in a database apart from the log.

mod append_order;
mod data_key;
mod error;
mod event_place;
mod master_keys;
mod metadata;
mod payload;
mod sealed_store;
mod stored;
mod subject_keys;

pub use data_key::Key;
pub use error::KeyError;
pub use master_keys::{MasterKeys, MasterKeysLock};
pub use sealed_store::SealedStore;
pub use stored::{erased_person, person_in_clear, sealed_person, sealed_sample};
pub use subject_keys::{Comparison, Copied, Erasures, KeyCount, Rewrapped, SubjectKeys, erased_people};
