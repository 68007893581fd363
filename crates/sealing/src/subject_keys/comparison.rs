//! The keys of people compared with the log, such as after they were restored from a backup: whose key is there again, although
//! the log has erased them, whose key is destroyed, although it has not, and whose key is damaged or missing, although the log
//! needs it.

use std::collections::{BTreeMap, BTreeSet};

use event_store::{EventStore, subject_of};
use events::{Encoding, StoredEvent, UserId};

use super::{AT_ONCE, SubjectKey, SubjectKeys};
use crate::{KeyError, erased_person};

/// Records of the log that are read at once.
const PAGE: usize = 2_000;

/// Whose key is not as the log says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Whom the log has erased, and whose key is not destroyed.
    pub revived: BTreeSet<UserId>,
    /// Whose key is destroyed, and whom the log has not erased.
    pub unerased: BTreeSet<UserId>,
    /// Whose key is there and cannot be unwrapped.
    pub damaged: BTreeSet<UserId>,
    /// About whom there are sealed events, and who have no key.
    pub lost: BTreeSet<UserId>,
}

/// Whom `log` has erased.
///
/// # Errors
/// When it does not answer.
pub async fn erased_people(log: &dyn EventStore) -> Result<BTreeSet<UserId>, KeyError> {
    erased_between(log, 0, i64::MAX).await
}

/// Whom `log` has erased after one position and up to another.
pub(super) async fn erased_between(
    log: &dyn EventStore,
    mut after: i64,
    to: i64,
) -> Result<BTreeSet<UserId>, KeyError> {
    let mut erased = BTreeSet::new();
    while after < to {
        let page = log.stored_page(after, PAGE).await?;
        let within = page.events.iter().filter(|event| event.position <= to);
        erased.extend(within.filter_map(erased_person));
        match page.events.last() {
            Some(last) if page.more => after = last.position,
            _ => break,
        }
    }
    Ok(erased)
}

impl SubjectKeys {
    /// Compares the keys with the whole of `log`.
    ///
    /// # Errors
    /// When the log or the database does not answer.
    pub async fn compare(&self, log: &dyn EventStore) -> Result<Comparison, KeyError> {
        let (mut compared, mut after) = (Comparison::default(), 0);
        let mut all_erased = BTreeSet::new();
        loop {
            let page = log.stored_page(after, PAGE).await?;
            // Whether they were erased.
            let mut subjects: BTreeMap<UserId, bool> = BTreeMap::new();
            for event in &page.events {
                after = event.position;
                if let Some(erased) = erased_person(event) {
                    subjects.insert(erased, true);
                    all_erased.insert(erased);
                } else if let Some(subject) = needs_key(event) {
                    subjects.entry(subject).or_default();
                }
            }
            self.compare_with(&subjects, &mut compared).await?;
            if !page.more || page.events.is_empty() {
                break;
            }
        }
        // Whoever was erased needs none.
        let Comparison {
            revived,
            unerased,
            damaged,
            lost,
        } = &mut compared;
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
        for some in all.chunks(AT_ONCE) {
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
                    Some(SubjectKey::Live(_)) => {}
                }
            }
        }
        Ok(())
    }
}

/// Whose key its payload needs.
fn needs_key(event: &StoredEvent) -> Option<UserId> {
    match event.encoding == Encoding::Sealed.as_str() {
        true => subject_of(&event.metadata),
        false => None,
    }
}
