//! Seals what is personal in events under a key of each person, so that destroying one key erases a person from a log that is
//! never changed.
//!
//! [`SealedStore`] stands before the event store: events go in and come out in clear, and lie in the log sealed. Whoever needs
//! the records as they lie there (the relay, the audit tree) takes the store behind it. [`SubjectKeys`] keeps the keys of
//! people, wrapped by the [`MasterKeys`], in a database apart from the log.

mod data_key;
mod error;
mod master_keys;
mod metadata;
mod payload;
mod sealed_store;
mod stored;
mod subject_keys;

pub use error::KeyError;
pub use master_keys::MasterKeys;
pub use sealed_store::SealedStore;
pub use stored::{erased_person, person_in_clear, sealed_person, sealed_sample};
pub use subject_keys::{Comparison, Copied, Erasures, KeyCount, Rewrapped, SubjectKeys, erased_people};
