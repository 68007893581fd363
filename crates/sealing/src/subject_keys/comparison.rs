//! Compares the keys of people with the log, for example after they were restored from a backup: finds keys of erased
//! people, destroyed keys of people who were not erased, and keys that are needed but damaged or missing.

use std::collections::{BTreeMap, BTreeSet};

use event_store::{EventStore, StoredEvents, subject_of};
use events::{Encoding, StoredEvent, UserId};

use super::{KEYS_PER_STATEMENT, SubjectKey, SubjectKeys};
use crate::{KeyError, erased_person};

/// The people whose key does not fit the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Erased people whose key is not destroyed.
    pub revived: BTreeSet<UserId>,
    /// People whose key is destroyed although they were not erased.
    pub unerased: BTreeSet<UserId>,
    /// People whose key cannot be decrypted.
    pub damaged: BTreeSet<UserId>,
    /// People with encrypted events but without a key.
    pub lost: BTreeSet<UserId>,
}

/// The people that were erased according to `log`.
///
/// # Errors
/// When it does not answer.
pub async fn erased_people(log: &dyn EventStore) -> Result<BTreeSet<UserId>, KeyError> {
    erased_between(log, 0, i64::MAX).await
}

/// The people that were erased after one position and up to another.
pub(super) async fn erased_between(
    log: &dyn EventStore,
    after: i64,
    to: i64,
) -> Result<BTreeSet<UserId>, KeyError> {
    let mut erased = BTreeSet::new();
    let mut events = StoredEvents::new(log, after, to);
    while let Some(page) = events.next_page().await? {
        erased.extend(page.iter().filter_map(erased_person));
    }
    Ok(erased)
}

impl SubjectKeys {
    /// Compares the keys with the whole of `log`.
    ///
    /// # Errors
    /// When the log or the database does not answer.
    pub async fn compare(&self, log: &dyn EventStore) -> Result<Comparison, KeyError> {
        let (mut compared, mut all_erased) = (Comparison::default(), BTreeSet::new());
        let mut events = StoredEvents::new(log, 0, i64::MAX);
        while let Some(page) = events.next_page().await? {
            // Whether each person was erased.
            let mut subjects: BTreeMap<UserId, bool> = BTreeMap::new();
            for event in &page {
                if let Some(erased) = erased_person(event) {
                    subjects.insert(erased, true);
                    all_erased.insert(erased);
                } else if let Some(subject) = needs_key(event) {
                    subjects.entry(subject).or_default();
                }
            }
            self.compare_with(&subjects, &mut compared).await?;
        }
        // An erased person needs no key.
        let Comparison { revived, unerased, damaged, lost } = &mut compared;
        unerased.retain(|subject| !all_erased.contains(subject));
        damaged.retain(|subject| !revived.contains(subject));
        lost.retain(|subject| !revived.contains(subject));
        Ok(compared)
    }

    async fn compare_with(
        &self,
        subjects: &BTreeMap<UserId, bool>,
        compared: &mut Comparison,
    ) -> Result<(), KeyError> {
        let all: Vec<UserId> = subjects.keys().copied().collect();
        for some in all.chunks(KEYS_PER_STATEMENT) {
            let mut keys: BTreeMap<UserId, SubjectKey> = self.load(some).await?.into_iter().collect();
            for subject in some {
                let key = keys.remove(subject);
                if subjects.get(subject) == Some(&true) && !matches!(key, Some(SubjectKey::Destroyed)) {
                    compared.revived.insert(*subject);
                }
                match key {
                    Some(SubjectKey::Damaged) => drop(compared.damaged.insert(*subject)),
                    None => drop(compared.lost.insert(*subject)),
                    Some(SubjectKey::Destroyed) => drop(compared.unerased.insert(*subject)),
                    Some(SubjectKey::OtherMasterKey { id, .. }) => return Err(self.other_master_key(id)),
                    Some(SubjectKey::Live(_)) => {}
                }
            }
        }
        Ok(())
    }
}

/// The person whose key the payload needs.
fn needs_key(event: &StoredEvent) -> Option<UserId> {
    match event.encoding == Encoding::Sealed.as_str() {
        true => subject_of(&event.metadata),
        false => None,
    }
}
