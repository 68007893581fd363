//! The exceptions of the projection according to the tables: parked and discarded events, and erased people.

use std::collections::{BTreeSet, HashMap, HashSet};

use database::{Database, DatabaseError};
use events::{StreamName, UserId};

use super::differences::Differences;
use crate::{models::storable, projecting::fold::Fold};

#[derive(Debug)]
pub(super) struct Exceptions {
    parked_positions: BTreeSet<u64>,
    parked: HashMap<StreamName, u64>,
    discarded: HashMap<StreamName, HashSet<u64>>,
    erased: HashMap<UserId, u64>,
    /// The erased people whose rows are still being deleted.
    leaving: HashSet<UserId>,
}

impl Exceptions {
    pub(super) async fn load(read_models: &Database) -> Result<Self, DatabaseError> {
        let mut exceptions = Self {
            parked_positions: BTreeSet::new(),
            parked: HashMap::new(),
            discarded: HashMap::new(),
            erased: HashMap::new(),
            leaving: HashSet::new(),
        };
        for row in read_models
            .fetch_all("SELECT subject FROM unfinished_erasures", &[])
            .await?
        {
            exceptions.leaving.insert(UserId(row.uuid("subject")?));
        }
        for row in read_models
            .fetch_all(
                "SELECT position, stream, version, subject FROM parked_events",
                &[],
            )
            .await?
        {
            if exceptions.is_leaving(UserId(row.uuid("subject")?)) {
                continue;
            }
            exceptions.parked_positions.insert(row.unsigned("position")?);
            let version = row.unsigned("version")?;
            let first = exceptions
                .parked
                .entry(StreamName::raw(row.text("stream")?))
                .or_insert(version);
            *first = version.min(*first);
        }
        for row in read_models
            .fetch_all("SELECT stream, version FROM discarded_events", &[])
            .await?
        {
            let versions = exceptions
                .discarded
                .entry(StreamName::raw(row.text("stream")?))
                .or_default();
            versions.insert(row.unsigned("version")?);
        }
        for row in read_models
            .fetch_all("SELECT subject, position FROM erased_subjects", &[])
            .await?
        {
            exceptions
                .erased
                .insert(UserId(row.uuid("subject")?), row.unsigned("position")?);
        }
        Ok(exceptions)
    }

    /// The exceptions of one stream.
    pub(super) async fn of_stream(
        read_models: &Database,
        stream: &StreamName,
    ) -> Result<Self, DatabaseError> {
        let name = [storable(stream.as_str()).into()];
        let mut exceptions = Self {
            parked_positions: BTreeSet::new(),
            parked: HashMap::new(),
            discarded: HashMap::new(),
            erased: HashMap::new(),
            leaving: HashSet::new(),
        };
        let first = "SELECT version FROM parked_events WHERE stream = $1 ORDER BY version LIMIT 1";
        if let Some(row) = read_models.fetch_optional(first, &name).await? {
            exceptions.parked.insert(stream.clone(), row.unsigned("version")?);
        }
        let discarded = "SELECT version FROM discarded_events WHERE stream = $1";
        for row in read_models.fetch_all(discarded, &name).await? {
            let versions = exceptions.discarded.entry(stream.clone()).or_default();
            versions.insert(row.unsigned("version")?);
        }
        Ok(exceptions)
    }

    /// An empty fold that skips parked and discarded events. It finds erasures itself.
    pub(super) fn fold(&self) -> Fold {
        Fold {
            parked: self.parked.clone(),
            discarded: self.discarded.clone(),
            ..Fold::default()
        }
    }

    /// The position at which a person was erased, according to the tables.
    pub(super) fn erased_at(&self, subject: UserId) -> Option<u64> {
        self.erased.get(&subject).copied()
    }

    /// Whether rows of a person who was erased are still being deleted.
    pub(super) fn is_leaving(&self, subject: UserId) -> bool {
        self.leaving.contains(&subject)
    }

    /// Compares them with the events that the fold up to `head` has parked and the people that it has erased. Returns
    /// how many are parked.
    pub(super) fn compare(&self, fold: &Fold, head: u64, differences: &mut Differences) -> u64 {
        let expected: BTreeSet<u64> = fold
            .newly_parked
            .iter()
            .map(|parked| parked.record.position)
            .collect();
        let found: BTreeSet<u64> = self.parked_positions.range(..=head).copied().collect();
        for position in expected.difference(&found) {
            differences.add(format!(
                "the event at position {position} cannot be projected, but is not parked"
            ));
        }
        for position in found.difference(&expected) {
            differences.add(format!(
                "the event at position {position} is parked, but should not be"
            ));
        }
        for (subject, position) in &fold.erased {
            if self.erased.get(subject) != Some(position) {
                differences.add(format!(
                    "erased_subjects lacks subject {subject}, erased at position {position}"
                ));
            }
        }
        for (subject, position) in &self.erased {
            if *position <= head && !fold.erased.contains_key(subject) {
                differences.add(format!(
                    "erased_subjects has subject {subject}, who was never erased"
                ));
            }
        }
        found.len() as u64
    }
}
