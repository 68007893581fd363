//! Compares some random rows with a fold of their streams. The cost does not depend on the length of the log.
#![expect(
    clippy::disallowed_methods,
    reason = "which rows are compared is a matter of chance, and nothing depends on it"
)]

use std::collections::{HashMap, HashSet};

use database::{Database, StatementTimeout, Value, left_out};
use event_store::{EventStore, LogRange};
use events::{StreamName, UserId};
use rand::{RngExt as _, seq::IteratorRandom as _};
use uuid::Uuid;

use super::{
    VerifyError,
    differences::{Differences, unreadable},
    exceptions::Exceptions,
    reading::{PAGE, each_of_stream, fold_in},
    report::{Counted, Report},
    rows::{different_columns, row_values, slot_values},
};
use crate::{
    models::{ListedModel, Model, Slot, for_each_model, table_of},
    projecting::checkpoint,
};

/// Shorter logs are read completely to find streams, because a random choice would miss some.
const SHORT: u64 = 2_000;

/// Streams with more events are left out, to keep a sample cheap.
const LONG: u64 = 1_000;

/// Chooses up to `size` tasks, as many accounts and as many sessions at random, with a preference for those with many
/// events, and compares their rows with folds of their streams. Projectors may run meanwhile.
pub async fn verify_sample(
    store: &dyn EventStore,
    read_models: &Database,
    size: usize,
) -> Result<Report, VerifyError> {
    let reached = checkpoint::completed(read_models).await?;
    let mut sample = Sample {
        store,
        read_models,
        reached,
        report: Report { position: reached, ..Report::default() },
        differences: Differences::default(),
    };
    for stream in choose(store, read_models, reached, size).await? {
        let head = store.stream_head(&stream).await?;
        if head.is_some_and(|head| head.version > LONG) {
            continue;
        }
        for_each_model!(M => sample.compare_if_of::<M>(&stream).await?);
    }
    let Sample { mut report, differences, .. } = sample;
    report.parked_streams = parked_streams(read_models).await?;
    report.differences = differences.list();
    Ok(report)
}

/// How many streams are parked, whether they are in the sample or not.
async fn parked_streams(read_models: &Database) -> Result<u64, VerifyError> {
    // There may be millions of parked events.
    let read_models = read_models.with_statement_timeout(StatementTimeout::Maintenance);
    let sql = "SELECT COUNT(DISTINCT stream) AS streams FROM parked_events";
    Ok(read_models.number(sql, &[]).await?)
}

struct Sample<'a> {
    store: &'a dyn EventStore,
    read_models: &'a Database,
    /// The position up to which everything is projected.
    reached: u64,
    report: Report,
    differences: Differences,
}

impl Sample<'_> {
    /// Compares the row of `stream`, if it belongs to this model.
    async fn compare_if_of<M: ListedModel + Counted>(
        &mut self,
        stream: &StreamName,
    ) -> Result<(), VerifyError> {
        match stream.kind().ok().as_ref().and_then(M::row_of) {
            Some(id) => {
                *M::rows(&mut self.report) += 1;
                self.compare::<M>(id, stream).await
            }
            None => Ok(()),
        }
    }

    async fn compare<M: ListedModel>(&mut self, id: Uuid, stream: &StreamName) -> Result<(), VerifyError> {
        // Parked, discarded or erased events may change between the reads: then the second comparison is right.
        let mut found = self.look::<M>(id, stream).await?;
        if found.is_some() {
            found = self.look::<M>(id, stream).await?;
        }
        if let Some(difference) = found {
            self.differences.add(difference);
        }
        Ok(())
    }

    /// The difference of the row, if any.
    async fn look<M: ListedModel>(
        &mut self,
        id: Uuid,
        stream: &StreamName,
    ) -> Result<Option<String>, VerifyError> {
        let table = M::TABLE;
        let columns = table.column_list();
        let sql = format!("SELECT {columns} FROM {} WHERE id = $1", table.name);
        let row = self.read_models.fetch_optional(&sql, &[id.into()]).await?;
        let read = row.as_ref().map(|row| Ok((row_values(table, row)?, row.unsigned("version")?)));
        let (found, version) = match read {
            Some(Err(error)) => return Ok(Some(unreadable(table.name, &id.to_string(), &error))),
            Some(Ok(read)) => read,
            None => (Vec::new(), 0),
        };
        let mut history = self.fold::<M>(id, stream, version).await?;
        let is_erased = self.is_erased(&history).await?;
        let due = history.due.take().filter(|_| !is_erased);
        let Some(row) = row else {
            return Ok(due.map(|_| format!("{} lacks row {id}", table.name)));
        };
        if is_erased {
            let sql = "SELECT subject FROM unfinished_erasures WHERE subject = $1";
            let values = [row.uuid(M::SUBJECT)?.into()];
            if self.read_models.fetch_optional(sql, &values).await?.is_some() {
                return Ok(None);
            }
            return Ok(Some(format!("{} has row {id} of someone who was erased", table.name)));
        }
        if let Some(due) = due
            && version < due.state.version()
        {
            return Ok(Some(format!(
                "{} differs in row {id}: it is at version {version}, the log at {}",
                table.name,
                due.state.version()
            )));
        }
        let Some(expected) = history.expected else {
            if history.was_dropped {
                self.report.left_by_drop += 1;
                return Ok(None);
            }
            return Ok(Some(format!("{} has row {id}, which should not be there", table.name)));
        };
        let columns = different_columns(table, &slot_values(&expected), &found);
        Ok((!columns.is_empty())
            .then(|| format!("{} differs in row {id}: {}", table.name, columns.join(", "))))
    }

    /// Folds the stream of a row that is at `version`.
    async fn fold<M: ListedModel>(
        &mut self,
        id: Uuid,
        stream: &StreamName,
        version: u64,
    ) -> Result<History<M>, VerifyError> {
        let exceptions = Exceptions::of_stream(self.read_models, stream).await?;
        let (mut due, mut expected) = (exceptions.fold(), exceptions.fold());
        let (mut events, mut subject, mut was_dropped) = (0, None, false);
        let reached = self.reached;
        each_of_stream(self.store, stream, |event| {
            events += 1;
            subject.get_or_insert(event.record.metadata.subject);
            was_dropped |= event.record.is_dropped();
            if event.record.version <= version {
                fold_in(&mut expected, event.clone());
            }
            if event.record.position <= reached {
                fold_in(&mut due, event);
            }
        })
        .await?;
        self.report.events += events;
        Ok(History {
            due: M::slots(&mut due.rows).0.remove(&id),
            expected: M::slots(&mut expected.rows).0.remove(&id),
            subject,
            was_dropped,
        })
    }

    /// Whether the read models have erased the person whom a row is about.
    async fn is_erased<M: ListedModel>(&self, history: &History<M>) -> Result<bool, VerifyError> {
        let Some(subject) = history.subject else {
            return Ok(false);
        };
        // A task without an owner is not erased with anybody.
        if let Some(due) = &history.due
            && due.state.subject() == UserId::NOBODY
        {
            return Ok(false);
        }
        let sql = "SELECT position FROM erased_subjects WHERE subject = $1";
        let row = self.read_models.fetch_optional(sql, &[subject.0.into()]).await?;
        Ok(row.is_some())
    }
}

/// One row according to the log.
struct History<M> {
    /// The row when everything is projected.
    due: Option<Slot<M>>,
    /// The row at the version that the table has.
    expected: Option<Slot<M>>,
    /// The person whom the first event is about.
    subject: Option<UserId>,
    was_dropped: bool,
}

/// Chooses up to `size` streams of each kind: some with events up to `reached`, and some with rows, because the log
/// does not show rows that should not exist.
async fn choose(
    store: &dyn EventStore,
    read_models: &Database,
    reached: u64,
    size: usize,
) -> Result<HashSet<StreamName>, VerifyError> {
    let of_rows = size / 2;
    let mut chosen = from_log(store, read_models, reached, size - of_rows).await?;
    for _ in 0..of_rows {
        for_each_model!(M => chosen.extend(from_rows::<M>(read_models).await?));
    }
    Ok(chosen)
}

/// The stream of the row at or after a random key between the first and the last.
async fn from_rows<M: Model>(read_models: &Database) -> Result<Option<StreamName>, VerifyError> {
    let table = M::TABLE.name;
    let id = async |sql: String, values: &[Value]| -> Result<Option<Uuid>, VerifyError> {
        let row = read_models.fetch_optional(&sql, values).await?;
        Ok(row.and_then(|row| left_out(table, "id", &row, row.uuid("id"))))
    };
    let first = id(format!("SELECT id FROM {table} ORDER BY id LIMIT 1"), &[]).await?;
    let last = id(format!("SELECT id FROM {table} ORDER BY id DESC LIMIT 1"), &[]).await?;
    let (Some(first), Some(last)) = (first, last) else {
        return Ok(None);
    };
    let place = rand::rng().random_range(first.as_u128()..=last.as_u128().max(first.as_u128()));
    let sql = format!("SELECT id FROM {table} WHERE id >= $1 ORDER BY id LIMIT 1");
    let found = id(sql, &[Uuid::from_u128(place).into()]).await?;
    Ok(found.map(|id| M::stream(&id.into())))
}

/// The position of the last event up to `place` that was projected, 0 if there is none. From there on the log can be
/// read where its positions have gaps.
async fn last_event_up_to(read_models: &Database, place: u64) -> Result<u64, VerifyError> {
    let sql = "SELECT position FROM audit_log WHERE position > 0 AND position <= $1
               ORDER BY position DESC LIMIT 1";
    let row = read_models.fetch_optional(sql, &[place.into()]).await?;
    row.map_or(Ok(0), |row| Ok(row.unsigned("position")?))
}

async fn from_log(
    store: &dyn EventStore,
    read_models: &Database,
    reached: u64,
    size: usize,
) -> Result<HashSet<StreamName>, VerifyError> {
    // Grouped by the table of the model.
    let mut kinds: HashMap<&str, HashSet<StreamName>> = HashMap::new();
    for_each_model!(M => kinds.insert(M::TABLE.name, HashSet::new()));
    let add = |kinds: &mut HashMap<&str, HashSet<StreamName>>, stream: StreamName, most: usize| {
        let table = table_of(&stream).map(|(table, _)| table.name);
        let streams = table.and_then(|table| kinds.get_mut(table));
        if let Some(streams) = streams.filter(|streams| streams.len() < most) {
            streams.insert(stream);
        }
    };
    if store.events_between(0, reached) <= SHORT {
        let mut pages = LogRange::new(store, 0, reached, PAGE);
        while let Some(page) = pages.next().await? {
            for event in page.entries.into_iter().flatten() {
                add(&mut kinds, event.stream, usize::MAX);
            }
        }
        return Ok(kinds
            .into_values()
            .flat_map(|streams| streams.into_iter().sample(&mut rand::rng(), size))
            .collect());
    }
    // Some kinds may be rare or missing, so the number of tries is limited.
    for _ in 0..size.saturating_mul(8) {
        if kinds.values().all(|streams| streams.len() >= size) {
            break;
        }
        let place = rand::rng().random_range(0..reached);
        let after = match store.positions_are_dense() {
            // What is compared does not decide what is chosen.
            true => place,
            false => last_event_up_to(read_models, place).await?,
        };
        for event in store.log_page(after, 1).await?.entries.into_iter().flatten() {
            add(&mut kinds, event.stream, size);
        }
    }
    Ok(kinds.into_values().flatten().collect())
}
