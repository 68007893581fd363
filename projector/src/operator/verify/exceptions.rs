//! The exceptions of the projection according to the tables: parked and discarded events, and erased people.

use std::collections::{BTreeSet, HashMap, HashSet};

use database::{Database, DatabaseError, Row};
use events::{StreamName, UserId};

use super::differences::{Differences, unreadable};
use crate::{models::storable, projecting::fold::Fold};

#[derive(Debug, Default)]
pub(super) struct Exceptions {
    parked_positions: BTreeSet<u64>,
    parked: HashMap<StreamName, u64>,
    discarded: HashMap<StreamName, HashSet<u64>>,
    erased: HashMap<UserId, u64>,
    /// The erased people whose rows are still being deleted.
    leaving: HashSet<UserId>,
}

/// Reads tables whole.
struct Reader<'a> {
    read_models: &'a Database,
    differences: &'a mut Differences,
}

impl Reader<'_> {
    /// The rows of `table`, with the key `key`. One that cannot be read is a difference.
    async fn rows<T>(
        &mut self,
        table: &str,
        key: &str,
        columns: &str,
        read: impl Fn(&Row) -> Result<T, DatabaseError>,
    ) -> Result<Vec<T>, DatabaseError> {
        let sql = format!("SELECT {columns} FROM {table}");
        let rows = self.read_models.fetch_all(&sql, &[]).await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            match read(row) {
                Ok(value) => found.push(value),
                Err(error) => self.differences.add(unreadable(table, &row.shown(key), &error)),
            }
        }
        Ok(found)
    }
}

impl Exceptions {
    /// Those of the tables. A row that cannot be read is a difference.
    pub(super) async fn load(
        read_models: &Database,
        differences: &mut Differences,
    ) -> Result<Self, DatabaseError> {
        let mut exceptions = Self::default();
        let mut read = Reader { read_models, differences };
        let leaving =
            read.rows("unfinished_erasures", "subject", "subject", |row| Ok(UserId(row.uuid("subject")?)));
        exceptions.leaving.extend(leaving.await?);
        let parked = read.rows("parked_events", "position", "position, stream, version, subject", |row| {
            let stream = StreamName::raw(row.text("stream")?);
            let (position, version) = (row.unsigned("position")?, row.unsigned("version")?);
            Ok((UserId(row.uuid("subject")?), position, stream, version))
        });
        for (subject, position, stream, version) in parked.await? {
            if exceptions.is_leaving(subject) {
                continue;
            }
            exceptions.parked_positions.insert(position);
            let first = exceptions.parked.entry(stream).or_insert(version);
            *first = version.min(*first);
        }
        let discarded = read.rows("discarded_events", "stream", "stream, version", |row| {
            Ok((StreamName::raw(row.text("stream")?), row.unsigned("version")?))
        });
        for (stream, version) in discarded.await? {
            exceptions.discarded.entry(stream).or_default().insert(version);
        }
        let erased = read.rows("erased_subjects", "subject", "subject, position", |row| {
            Ok((UserId(row.uuid("subject")?), row.unsigned("position")?))
        });
        exceptions.erased.extend(erased.await?);
        Ok(exceptions)
    }

    pub(super) async fn of_stream(
        read_models: &Database,
        stream: &StreamName,
    ) -> Result<Self, DatabaseError> {
        let name = [storable(stream.as_str()).into()];
        let mut exceptions = Self::default();
        let first = "SELECT version FROM parked_events WHERE stream = $1 ORDER BY version LIMIT 1";
        if let Some(row) = read_models.fetch_optional(first, &name).await? {
            // As for the projector: the stream of a row that cannot be read is parked from its beginning.
            let version = row.unsigned("version").unwrap_or_default();
            exceptions.parked.insert(stream.clone(), version);
        }
        let discarded = "SELECT version FROM discarded_events WHERE stream = $1";
        for row in read_models.fetch_all(discarded, &name).await? {
            let versions = exceptions.discarded.entry(stream.clone()).or_default();
            versions.extend(row.unsigned("version"));
        }
        Ok(exceptions)
    }

    /// An empty fold that skips parked and discarded events. It finds erasures itself.
    pub(super) fn fold(&self) -> Fold {
        Fold { parked: self.parked.clone(), discarded: self.discarded.clone(), ..Fold::default() }
    }

    /// The position at which a person was erased, according to the tables.
    pub(super) fn erased_at(&self, subject: UserId) -> Option<u64> {
        self.erased.get(&subject).copied()
    }

    pub(super) fn parked_streams(&self) -> u64 {
        self.parked.len() as u64
    }

    /// Whether rows of a person who was erased are still being deleted.
    pub(super) fn is_leaving(&self, subject: UserId) -> bool {
        self.leaving.contains(&subject)
    }

    /// Compares them with the events that the fold up to `head` has parked and the people that it has erased. Returns
    /// how many are parked.
    pub(super) fn compare(&self, fold: &Fold, head: u64, differences: &mut Differences) -> u64 {
        let expected: BTreeSet<u64> = fold.newly_parked.iter().map(|parked| parked.record.position).collect();
        let found: BTreeSet<u64> = self.parked_positions.range(..=head).copied().collect();
        for position in expected.difference(&found) {
            differences
                .add(format!("the event at position {position} cannot be projected, but is not parked"));
        }
        for position in found.difference(&expected) {
            differences.add(format!("the event at position {position} is parked, but should not be"));
        }
        for (subject, position) in &fold.erased {
            if self.erased.get(subject) != Some(position) {
                differences
                    .add(format!("erased_subjects lacks subject {subject}, erased at position {position}"));
            }
        }
        for (subject, position) in &self.erased {
            if *position <= head && !fold.erased.contains_key(subject) {
                differences.add(format!("erased_subjects has subject {subject}, who was never erased"));
            }
        }
        found.len() as u64
    }
}
